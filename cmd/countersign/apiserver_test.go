// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

const (
	groupPath = "/apis/policy.countersign.dev"
	whoPath   = "/apis/authentication.k8s.io"
	logsPath  = groupPath + "/v1alpha1/transparencylogs"
)

// apiServer is as much of a Kubernetes API server as the command line needs to read and
// patch TransparencyLogs: what a script cannot be given a real one for is that it is
// there in a moment. What is behind admission, RBAC and CEL is for e2e tests.
type apiServer struct {
	*httptest.Server

	mu      sync.Mutex
	objects map[string]map[string]any
	version int
	// patched is called with an object that was patched, while mu is held.
	patched func(object map[string]any)
	// busy has somebody change each object just after it is read.
	busy bool
}

func newAPIServer() *apiServer {
	s := &apiServer{objects: map[string]map[string]any{}}
	mux := http.NewServeMux()
	verbs := metav1.Verbs{"get", "list", "patch"}
	version := metav1.GroupVersionForDiscovery{GroupVersion: "policy.countersign.dev/v1alpha1", Version: "v1alpha1"}
	group := metav1.APIGroup{TypeMeta: metav1.TypeMeta{Kind: "APIGroup", APIVersion: "v1"}, Name: "policy.countersign.dev", Versions: []metav1.GroupVersionForDiscovery{version}, PreferredVersion: version}
	whoVersion := metav1.GroupVersionForDiscovery{GroupVersion: "authentication.k8s.io/v1", Version: "v1"}
	who := metav1.APIGroup{TypeMeta: metav1.TypeMeta{Kind: "APIGroup", APIVersion: "v1"}, Name: "authentication.k8s.io", Versions: []metav1.GroupVersionForDiscovery{whoVersion}, PreferredVersion: whoVersion}
	for path, discovered := range map[string]any{
		"/api":    metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}},
		"/apis":   metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}, Groups: []metav1.APIGroup{group, who}},
		groupPath: group,
		whoPath:   who,
		whoPath + "/v1": metav1.APIResourceList{
			TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: whoVersion.GroupVersion,
			APIResources: []metav1.APIResource{{Name: "selfsubjectreviews", SingularName: "selfsubjectreview", Kind: "SelfSubjectReview", Verbs: metav1.Verbs{"create"}}},
		},
		"/api/v1": metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: "v1"},
		groupPath + "/v1alpha1": metav1.APIResourceList{
			TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: version.GroupVersion,
			APIResources: []metav1.APIResource{{Name: "transparencylogs", SingularName: "transparencylog", Kind: "TransparencyLog", Verbs: verbs}},
		},
	} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, discovered) })
	}
	mux.HandleFunc("GET "+logsPath, s.list)
	mux.HandleFunc("GET "+logsPath+"/{name}", s.get)
	mux.HandleFunc("PATCH "+logsPath+"/{name}", s.patch)
	mux.HandleFunc("POST "+whoPath+"/v1/selfsubjectreviews", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusCreated, map[string]any{
			"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview",
			"status": map[string]any{"userInfo": map[string]any{"username": "alice@corp.example"}},
		})
	})
	s.Server = httptest.NewServer(mux)
	return s
}

// apply creates or replaces the object of a YAML document.
func (s *apiServer) apply(document string) error {
	var object map[string]any
	if err := yaml.Unmarshal([]byte(document), &object); err != nil {
		return err
	}
	metadata := object["metadata"].(map[string]any)
	name := metadata["name"].(string)
	metadata["uid"] = "uid-" + name
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store(name, object)
	return nil
}

// store is called with mu held.
func (s *apiServer) store(name string, object map[string]any) {
	s.version++
	metadata := object["metadata"].(map[string]any)
	metadata["resourceVersion"] = strconv.Itoa(s.version)
	generation, _ := metadata["generation"].(int)
	metadata["generation"] = generation + 1
	s.objects[name] = object
}

func (s *apiServer) list(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	items := []any{}
	for object := range maps.Values(s.objects) {
		items = append(items, object)
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"apiVersion": "policy.countersign.dev/v1alpha1", "kind": "TransparencyLogList", "metadata": map[string]any{}, "items": items,
	})
}

func (s *apiServer) get(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	object, ok := s.objects[r.PathValue("name")]
	if !ok {
		refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound)
		return
	}
	writeJSON(w, http.StatusOK, object)
	if s.busy {
		s.store(r.PathValue("name"), object)
	}
}

// patch is RFC 7396, with the precondition of a resourceVersion.
func (s *apiServer) patch(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	var change map[string]any
	if err == nil {
		err = json.Unmarshal(text, &change)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	name := r.PathValue("name")
	object, ok := s.objects[name]
	if err != nil || !ok || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/merge-patch+json") {
		refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound)
		return
	}
	if metadata, ok := change["metadata"].(map[string]any); ok {
		if wanted, ok := metadata["resourceVersion"]; ok && wanted != object["metadata"].(map[string]any)["resourceVersion"] {
			refuse(w, http.StatusConflict, metav1.StatusReasonConflict)
			return
		}
	}
	merge(object, change)
	s.store(name, object)
	if s.patched != nil {
		s.patched(object)
	}
	writeJSON(w, http.StatusOK, object)
}

func merge(object, change map[string]any) {
	for key, value := range change {
		nested, isMap := value.(map[string]any)
		current, wasMap := object[key].(map[string]any)
		switch {
		case value == nil:
			delete(object, key)
		case isMap && wasMap:
			merge(current, nested)
		default:
			object[key] = value
		}
	}
}

func refuse(w http.ResponseWriter, code int, reason metav1.StatusReason) {
	writeJSON(w, code, metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Code: int32(code), Reason: reason, Message: string(reason),
	})
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v)
}

// kubeconfig is the file that leads to the server.
func (s *apiServer) kubeconfig() string {
	return `apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: "` + s.URL + `"}}]
users: [{name: test, user: {token: test}}]
contexts: [{name: test, context: {cluster: test, user: test}}]
current-context: test
`
}

// have makes the server do at a patch what a controller would, and others might.
func (s *apiServer) have(controller string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = controller == "busy"
	s.patched = func(object map[string]any) {
		reset, asked := object["spec"].(map[string]any)["reset"]
		status, seen := object["status"].(map[string]any)
		switch {
		case !asked || !seen:
		case controller == "accepts":
			status["lastReset"] = map[string]any{"reset": reset, "at": "2026-03-02T00:00:00Z", "note": "note"}
			delete(status, "inconsistency")
		case controller == "refuses":
			status["conditions"] = []any{map[string]any{
				"type": "Reset", "status": "False", "reason": "ResetRefused", "message": "the log cannot show that", "lastTransitionTime": "2026-03-02T00:00:00Z",
				"observedGeneration": object["metadata"].(map[string]any)["generation"],
			}}
		}
	}
}
