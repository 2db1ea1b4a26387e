// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/countersign-dev/countersign/e2e/stack"
)

// front starts an nginx in front of the log's three replicas.
func (l *mariaLog) front(t *testing.T, o stack.NginxOptions) *stack.Nginx {
	t.Helper()
	if o.Root == "" {
		o.Upstreams = l.hosts()
	}
	nginx, err := S(t).StartNginx(t.Context(), newName(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nginx.Stop)
	return nginx
}

// at configures the log at a URL, with more lines of its spec, and returns its name. It
// need not become Ready.
func (l *mariaLog) at(t *testing.T, url string, more ...string) string {
	t.Helper()
	name := newName(t)
	appliedObject(t, "transparencylog/"+name, stack.TransparencyLogAt(url, l.replicas[0], name, false)+strings.Join(more, ""))
	return name
}

// messageOf is the message of a TransparencyLog's condition.
func messageOf(t *testing.T, log, condition string) string {
	t.Helper()
	return mustKubectl(t, "", "get", "transparencylog", log, "-o", `jsonpath={.status.conditions[?(@.type=="`+condition+`")].message}`)
}

// secretOf creates a Secret in Countersign's namespace that is deleted with the
// scenario, or replaces it.
func secretOf(t *testing.T, name string, args ...string) {
	t.Helper()
	kubectl(t, "", "delete", "secret", name, "-n", stack.Namespace, "--ignore-not-found")
	mustKubectl(t, "", append([]string{"create", "secret", "generic", name, "-n", stack.Namespace}, args...)...)
	t.Cleanup(func() {
		_, _ = S(t).Kubectl(context.Background(), "", "delete", "secret", name, "-n", stack.Namespace, "--ignore-not-found", "--wait=false")
	})
}

func authority(t *testing.T, nginx *stack.Nginx) string {
	t.Helper()
	content, err := os.ReadFile(nginx.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	return "    caBundle: |\n" + stack.Indent(6, string(content))
}

// unreachable wants the log to be said to be unreachable with that in the message, and
// an image that needs it to be refused with the same; then ready becomes true.
func (l *mariaLog) unreachable(t *testing.T, log string, says string) {
	t.Helper()
	awaitCondition(t, log, "Reachable", "False Unavailable")
	if got := messageOf(t, log, "Reachable"); !strings.Contains(got, says) {
		t.Errorf("the condition says %q; want it to say %q", got, says)
	}
	image := l.signed(t, stack.SignOptions{})
	name := newName(t)
	applied(t, "clusterimagepolicy/"+name, stack.KeyPolicy(name, image.Registry+"/"+image.Repository, S(t).Key, log))
	refused(t, runPod(t, newNamespace(t), "app", image.Ref()), "LogUnavailable", says)
}

// works wants the log to be Ready, and what is signed into it to be admitted.
func (l *mariaLog) works(t *testing.T, log string) {
	t.Helper()
	awaitCondition(t, log, "Ready", "True Succeeded")
	namespace := newNamespace(t)
	for name, o := range map[string]stack.SignOptions{"legacy": {}, "bundle": bundleByV3()} {
		admitted(t, runPod(t, namespace, name, l.covered(t, log, o).Ref()))
	}
	if got := conditionOf(t, log, "Consistent"); got != "True Succeeded" {
		t.Errorf("the condition Consistent is %q", got)
	}
}

// behindAPassword: a wrong one is said to be so, and the right one takes effect at once,
// without a change of the log.
func behindAPassword(t *testing.T, l *mariaLog) {
	t.Helper()
	nginx := l.front(t, stack.NginxOptions{TLS: true, User: "countersign", Password: "correct-horse"})
	secret := newName(t)
	secretOf(t, secret, "--from-literal=username=countersign", "--from-literal=password=wrong")
	log := l.at(t, nginx.URL, "  auth:\n    basicSecretRef: {name: "+secret+"}\n", "  tls:\n", authority(t, nginx))
	l.unreachable(t, log, "HTTP status 401 (the credentials in auth are missing, or not the right ones)")
	secretOf(t, secret, "--from-literal=username=countersign", "--from-literal=password=correct-horse")
	l.works(t, log)
}

func behindAPrivateAuthority(t *testing.T, l *mariaLog) {
	t.Helper()
	nginx := l.front(t, stack.NginxOptions{TLS: true})
	log := l.at(t, nginx.URL)
	l.unreachable(t, log, "private authorities that are to be trusted belong into tls.caBundle")
	mustKubectl(t, stack.TransparencyLogAt(nginx.URL, l.replicas[0], log, false)+"  tls:\n"+authority(t, nginx), "apply", "-f", "-")
	l.works(t, log)
}

func behindClientCertificates(t *testing.T, l *mariaLog) {
	t.Helper()
	nginx := l.front(t, stack.NginxOptions{TLS: true, Mutual: true})
	log := l.at(t, nginx.URL, "  tls:\n", authority(t, nginx))
	// nginx takes the connection, and says so in a page of HTML.
	l.unreachable(t, log, "See tls.clientCertSecretRef")
	secret := newName(t)
	secretOf(t, secret, "--type=kubernetes.io/tls", "--from-file=tls.crt="+nginx.ClientCertFile, "--from-file=tls.key="+nginx.ClientKeyFile)
	mustKubectl(t, stack.TransparencyLogAt(nginx.URL, l.replicas[0], log, false)+"  tls:\n    clientCertSecretRef: {name: "+secret+"}\n"+authority(t, nginx), "apply", "-f", "-")
	l.works(t, log)
}

// behindARateLimit: two requests a second, which a poll alone can exceed. The log
// becomes Ready, and admissions that ask it go on, several at a time.
func behindARateLimit(saysHowLong bool) func(*testing.T, *mariaLog) {
	return func(t *testing.T, l *mariaLog) {
		t.Helper()
		o := stack.NginxOptions{RequestsPerSecond: 2}
		if !saysHowLong {
			// nginx inherits headers only where no other is added.
			o.Directives = []string{"add_header X-Log rekor"}
		}
		nginx := l.front(t, o)
		log := newName(t)
		applied(t, "transparencylog/"+log, strings.Replace(stack.TransparencyLogAt(nginx.URL, l.replicas[0], log, false), "pollInterval: 1s", "pollInterval: 10s", 1))
		namespace := newNamespace(t)
		var images []stack.Image
		for range 2 {
			images = append(images, l.covered(t, log, stack.SignOptions{}))
		}
		var pods sync.WaitGroup
		for i, image := range images {
			pods.Go(func() { admitted(t, runPod(t, namespace, "app-"+string(rune('a'+i)), image.Ref())) })
		}
		pods.Wait()
		if got := conditionOf(t, log, "Ready"); got != "True Succeeded" {
			t.Errorf("the condition Ready is %q: %s", got, messageOf(t, log, "Ready"))
		}
		requests, err := os.ReadFile(nginx.AccessLog)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(requests), " 429 ") {
			t.Errorf("the limit was never met:\n%s", requests)
		}
	}
}

// behindARedirect: what is elsewhere is not asked, although it would answer.
func behindARedirect(t *testing.T, l *mariaLog) {
	t.Helper()
	elsewhere := newLogProxy(t, l.replicas[0])
	nginx := l.front(t, stack.NginxOptions{Directives: []string{"return 302 " + elsewhere.URL + "$request_uri"}})
	log := l.at(t, nginx.URL)
	l.unreachable(t, log, `redirect refused to another host "`+elsewhere.Host+`"`)
	if asked := elsewhere.Requests(); len(asked) != 0 {
		t.Errorf("the other host was asked: %v", asked)
	}
}

// behindAGatewayWithoutALog: that its log is gone is not that an entry is absent.
func behindAGatewayWithoutALog(t *testing.T, l *mariaLog) {
	t.Helper()
	proxy := newLogProxy(t, l.replicas[0])
	log := newLog(t, l.replicas[0], proxy.URL)
	image, absent := l.covered(t, log, stack.SignOptions{}), pushImage(t, S(t).Registry)
	sign(t, absent, stack.SignOptions{Log: l.replicas[0], NoUpload: true})
	newPolicy(t, absent.Registry+"/"+absent.Repository, S(t).Key, log)
	namespace := newNamespace(t)
	refused(t, runPod(t, namespace, "absent", absent.Ref()), "NotLogged")
	page := l.front(t, stack.NginxOptions{Root: t.TempDir()})
	proxy.SetHook(entries(stack.Forward(page.URL)))
	refused(t, runPod(t, namespace, "page", image.Ref()), "LogUnavailable", "HTTP status 404, not as a log says it")
	proxy.SetHook(nil)
	admitted(t, runPod(t, namespace, "log", image.Ref()))
}

// withAReplicaThatIsDown: the first address does not answer, and the others do.
func withAReplicaThatIsDown(t *testing.T, l *mariaLog) {
	t.Helper()
	first := newLogProxy(t, l.replicas[0])
	name := newName(t)
	applied(t, "transparencylog/"+name, stack.TransparencyLogOf(l.replicas[0], name, false, first.URL, l.replicas[1].URL, l.replicas[2].URL))
	first.Down()
	l.works(t, name)
	eventually(t, "the replica that is down to be named", func() bool { return strings.Contains(messageOf(t, name, "Reachable"), first.Host) })
	if got := conditionOf(t, name, "Reachable"); got != "True Succeeded" {
		t.Errorf("the condition Reachable is %q", got)
	}
}
