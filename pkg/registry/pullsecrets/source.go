// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package pullsecrets

import (
	"context"
	"fmt"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/countersign-dev/countersign/pkg/registry/keyring"
)

// source is the API server.
type source struct {
	reader client.Reader
	as     string
	log    logr.Logger
}

// secret reads a pull secret. The problem, if any, is for whoever named it.
func (s source) secret(ctx context.Context, k key) (part keyring.Part, problem string) {
	var secret corev1.Secret
	if problem := s.get(ctx, k, &secret); problem != "" {
		return part, problem
	}
	part.Owner = fmt.Sprintf("Secret %q", k.name)
	config, err := Content(&secret)
	if err != nil {
		return part, err.Error()
	}
	part.Config = config
	return part, ""
}

// Content reads what a pull secret holds. The error is a clause about the Secret, and
// says nothing of its content.
func Content(secret *corev1.Secret) (keyring.Config, error) {
	name, parse := corev1.DockerConfigJsonKey, keyring.ParseConfigJSON
	switch secret.Type {
	case corev1.SecretTypeDockerConfigJson:
	case corev1.SecretTypeDockercfg:
		name, parse = corev1.DockerConfigKey, keyring.ParseDockercfg
	default:
		return keyring.Config{}, fmt.Errorf("is not of type %s or %s", corev1.SecretTypeDockerConfigJson, corev1.SecretTypeDockercfg)
	}
	content := secret.Data[name]
	if len(content) > maxContent {
		return keyring.Config{}, fmt.Errorf("holds more than %d bytes", maxContent)
	}
	return parse(content)
}

// serviceAccount reads the names of a ServiceAccount's pull secrets.
func (s source) serviceAccount(ctx context.Context, k key) (secrets []string, problem string) {
	var account corev1.ServiceAccount
	if problem := s.get(ctx, k, &account); problem != "" {
		return nil, problem
	}
	for _, reference := range account.ImagePullSecrets {
		if len(secrets) <= maxSecrets {
			secrets = append(secrets, reference.Name)
		}
	}
	return secrets, ""
}

func (s source) get(ctx context.Context, k key, o client.Object) (problem string) {
	err := s.reader.Get(ctx, types.NamespacedName{Namespace: k.namespace, Name: k.name}, o)
	switch {
	case err == nil:
		return ""
	case apierrors.IsNotFound(err):
		return "does not exist"
	case apierrors.IsForbidden(err):
		problem = "may not be read by " + s.as
	default:
		problem = "cannot be read now"
	}
	s.log.V(1).Info("A pull secret, or who has some, "+problem, "namespace", k.namespace, "name", k.name, "error", err.Error())
	return problem
}
