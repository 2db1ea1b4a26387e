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

// Env is what a person, or a script, needs to use the stack.
func (s *Stack) Env() []Variable {
	env := []Variable{
		{"KUBECONFIG", s.ControlPlane.Kubeconfig},
		{"REGISTRY", s.Registry.Host},
		{"REGISTRY_FALLBACK", s.RegistryFallback.Host},
		{"REKOR_URL", s.Rekor.URL},
		{"REKOR_ORIGIN", s.Rekor.Hostname},
		{"REKOR_PUBLIC_KEY", s.Rekor.PublicKeyFile},
		{"REKOR_V2_URL", s.RekorV2.URL},
		{"REKOR_V2_READ_URL", s.RekorV2.ReadURL},
		{"REKOR_V2_ORIGIN", s.RekorV2.Hostname},
		{"REKOR_V2_PUBLIC_KEY", s.RekorV2.PublicKeyFile},
		// cosign looks the key of a log up in the public infrastructure unless it has it from here.
		{"SIGSTORE_REKOR_PUBLIC_KEY", s.Rekor.PublicKeyFile},
		{"COSIGN_KEY", s.Key.Private},
		{"COSIGN_PUB", s.Key.Public},
		{"COSIGN_PASSWORD", Password},
	}
	if k := s.Keyless; k != nil {
		env = append(env,
			Variable{"FULCIO_URL", k.Fulcio.URL},
			Variable{"TSA_URL", k.TSA.URL},
			Variable{"SIGSTORE_ROOT_FILE", k.Fulcio.CA.File},
			Variable{"SIGSTORE_CT_LOG_PUBLIC_KEY_FILE", k.CTLog.PublicKeyFile},
			Variable{"SIGSTORE_TSA_CERTIFICATE_FILE", k.TSA.ChainFile})
	}
	if s.Countersign != nil {
		env = append(env,
			Variable{"COUNTERSIGN", s.Countersign.Binary},
			Variable{"COUNTERSIGN_INSECURE_REGISTRIES", s.Registry.Host + "," + s.RegistryFallback.Host},
			Variable{"COUNTERSIGN_METRICS", s.Countersign.MetricsURL})
	}
	return env
}

// WriteEnv writes Env, and where the files are with which cosign v3 signs, as a
// shell file in the run directory and returns its path.
func (s *Stack) WriteEnv(ctx context.Context) (string, error) {
	env := s.Env()
	sets := []struct {
		suffix   string
		services Services
	}{{"", Services{Log: s.Rekor}}, {"_V2", Services{Log: s.RekorV2}}}
	if k := s.Keyless; k != nil {
		sets[0].services = Services{Log: s.Rekor, Fulcio: k.Fulcio, TSA: k.TSA}
		sets[1].services = Services{Log: s.RekorV2, Fulcio: k.Fulcio, TSA: k.TSA}
	}
	for _, set := range sets {
		dir := s.run.file("cosign-v3" + set.suffix)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", err
		}
		config, root, err := s.signingFiles(ctx, set.services, false, dir)
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
# and the same with $SIGNING_CONFIG_V2 and $TRUSTED_ROOT_V2 for the Rekor v2 log. As a service account, with a certificate:
#   token=$(mktemp) && kubectl create token default --audience sigstore >$token && unset COSIGN_KEY
#   cosign-v2 sign -y --fulcio-url $FULCIO_URL --identity-token $token --rekor-url $REKOR_URL IMAGE@DIGEST
#   cosign-v3 sign -y --identity-token $token --signing-config $SIGNING_CONFIG --trusted-root $TRUSTED_ROOT IMAGE@DIGEST
`

// environ is the environment of commands that are run in the stack.
func (s *Stack) environ() []string {
	env := s.run.environ()
	if s.ControlPlane == nil || s.Rekor == nil || s.RekorV2 == nil {
		return append(env, "COSIGN_PASSWORD="+Password) // still starting
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
