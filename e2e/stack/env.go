// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"fmt"
	"os"
	"strings"
)

// Password protects every private key that the stack makes with cosign.
const Password = "countersign"

// EnvFile is the name of the shell file that WriteEnv writes.
const EnvFile = "env"

// SupervisorLog is the name of the one file in a run directory that is not the
// stack's own: the log of the background process that holds a stack.
const SupervisorLog = "supervisor.log"

// Variable is one setting for those who drive the stack by hand.
type Variable struct{ Name, Value string }

// Env is what a person, or a script, needs to use what the stack has.
func (s *Stack) Env() []Variable {
	env := []Variable{
		{"KUBECONFIG", s.ControlPlane.Kubeconfig},
		{"REGISTRY", s.Registry.Host},
		{"COSIGN_KEY", s.Key.Private},
		{"COSIGN_PUB", s.Key.Public},
		{"COSIGN_PASSWORD", Password},
	}
	insecure := s.Registry.Host
	if r := s.RegistryFallback; r != nil {
		env = append(env, Variable{"REGISTRY_FALLBACK", r.Host})
		insecure += "," + r.Host
	}
	if r := s.Rekor; r != nil {
		env = append(env,
			Variable{"REKOR_URL", r.URL},
			Variable{"REKOR_ORIGIN", r.Hostname},
			Variable{"REKOR_PUBLIC_KEY", r.PublicKeyFile},
			// cosign looks the key of a log up in the public infrastructure unless it has it from here.
			Variable{"SIGSTORE_REKOR_PUBLIC_KEY", r.PublicKeyFile})
	}
	if r := s.RekorV2; r != nil {
		env = append(env,
			Variable{"REKOR_V2_URL", r.URL},
			Variable{"REKOR_V2_READ_URL", r.ReadURL},
			Variable{"REKOR_V2_ORIGIN", r.Hostname},
			Variable{"REKOR_V2_PUBLIC_KEY", r.PublicKeyFile})
	}
	if k := s.Keyless; k != nil {
		env = append(env,
			Variable{"FULCIO_URL", k.Fulcio.URL},
			Variable{"TSA_URL", k.TSA.URL},
			Variable{"SIGSTORE_ROOT_FILE", k.Fulcio.CA.File},
			Variable{"SIGSTORE_CT_LOG_PUBLIC_KEY_FILE", k.CTLog.PublicKeyFile},
			Variable{"SIGSTORE_TSA_CERTIFICATE_FILE", k.TSA.ChainFile})
	}
	if v := s.Vault; v != nil {
		env = append(env, Variable{"VAULT_ADDR", v.URL}, Variable{"VAULT_TOKEN", v.token})
	}
	if s.Countersign != nil {
		env = append(env,
			Variable{"COUNTERSIGN", s.Countersign.Binary},
			Variable{"COUNTERSIGN_INSECURE_REGISTRIES", insecure},
			Variable{"COUNTERSIGN_METRICS", s.Countersign.MetricsURL})
	}
	return env
}

// WriteEnv writes Env, and where the files are with which cosign v3 signs, as a
// shell file in the run directory and returns its path.
func (s *Stack) WriteEnv(ctx context.Context) (string, error) {
	env := s.Env()
	var services Services
	if k := s.Keyless; k != nil {
		services = Services{Fulcio: k.Fulcio, TSA: k.TSA}
	}
	type set struct {
		suffix string
		log    Log
	}
	var sets []set
	if s.Rekor != nil {
		sets = append(sets, set{"", s.Rekor})
	}
	if s.RekorV2 != nil {
		sets = append(sets, set{"_V2", s.RekorV2})
	}
	for _, set := range sets {
		dir := s.run.file("cosign-v3" + set.suffix)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", err
		}
		services.Log = set.log
		config, root, err := s.signingFiles(ctx, services, false, dir)
		if err != nil {
			return "", err
		}
		env = append(env, Variable{"SIGNING_CONFIG" + set.suffix, config}, Variable{"TRUSTED_ROOT" + set.suffix, root})
	}
	var b strings.Builder
	b.WriteString(envUsage)
	for _, v := range env {
		fmt.Fprintf(&b, "export %s=%s\n", v.Name, shellQuote(v.Value))
	}
	fmt.Fprintf(&b, "export PATH=%s:\"$PATH\"\n", shellQuote(s.run.bin))
	return s.run.write(EnvFile, []byte(b.String()))
}

const envUsage = `# Use the stack by hand: source this file. Then, for an image in $REGISTRY:
#   cosign-v2 sign -y --key $COSIGN_KEY --rekor-url $REKOR_URL IMAGE@DIGEST
#   cosign-v3 sign -y --key $COSIGN_KEY --signing-config $SIGNING_CONFIG --trusted-root $TRUSTED_ROOT IMAGE@DIGEST
# and the same with $SIGNING_CONFIG_V2 and $TRUSTED_ROOT_V2 for the Rekor v2 log, which a policy names as
# ctlog: {logRefs: [rekor-v2]}. As a service account, with a certificate:
#   token=$(mktemp) && kubectl create token default --audience sigstore >$token && unset COSIGN_KEY
#   cosign-v2 sign -y --fulcio-url $FULCIO_URL --identity-token $token --rekor-url $REKOR_URL IMAGE@DIGEST
#   cosign-v3 sign -y --identity-token $token --signing-config $SIGNING_CONFIG --trusted-root $TRUSTED_ROOT IMAGE@DIGEST
`

// environ is the environment of commands that are run in the stack.
func (s *Stack) environ() []string {
	env := s.run.environ()
	s.mu.Lock()
	started := s.started
	s.mu.Unlock()
	if !started {
		return append(env, "COSIGN_PASSWORD="+Password)
	}
	for _, v := range s.Env() {
		env = append(env, v.Name+"="+v.Value)
	}
	return env
}

// shellQuote quotes s for a POSIX shell.
func shellQuote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
