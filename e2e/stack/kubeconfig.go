// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// kubeconfig writes a kubeconfig file with one context and returns its path.
func (r *runDir) kubeconfig(name, server string, ca []byte, user *clientcmdapi.AuthInfo) (string, error) {
	config := clientcmdapi.NewConfig()
	config.Clusters["stack"] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: ca}
	config.AuthInfos[name] = user
	config.Contexts["stack"] = &clientcmdapi.Context{Cluster: "stack", AuthInfo: name, Namespace: "default"}
	config.CurrentContext = "stack"
	path := r.file(name + ".kubeconfig")
	return path, clientcmd.WriteToFile(*config, path)
}

func certificateUser(p pair) *clientcmdapi.AuthInfo {
	return &clientcmdapi.AuthInfo{ClientCertificateData: p.cert, ClientKeyData: p.key}
}
