// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ClusterImagePolicy says what must hold for the images that it covers. Policies that
// cover the same image are all required.
// +kubebuilder:resource:scope=Cluster,categories={all,sigstore},shortName=cip
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:pruning:PreserveUnknownFields
type ClusterImagePolicy struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says which images are covered and what must hold for them.
	// +optional
	Spec ClusterImagePolicySpec `json:"spec,omitempty"`

	// status is what controllers found.
	// +optional
	Status Status `json:"status,omitempty"`
}

// ClusterImagePolicySpec is what the cluster's owner writes.
// +kubebuilder:pruning:PreserveUnknownFields
type ClusterImagePolicySpec struct {
	// images are the images that the policy covers.
	// +optional
	Images []ImagePattern `json:"images,omitempty"`

	// authorities are alternatives: one of them must accept the image.
	// +optional
	Authorities []Authority `json:"authorities,omitempty"`

	// policy is evaluated over what the authorities found.
	// +optional
	Policy *Policy `json:"policy,omitempty"`

	// mode is enforce or warn. It defaults to enforce.
	// +optional
	Mode string `json:"mode,omitempty"`

	// match are the resources that the policy is about. It defaults to all.
	// +optional
	Match []MatchResource `json:"match,omitempty"`
}

// ImagePattern selects images by name.
// +kubebuilder:pruning:PreserveUnknownFields
type ImagePattern struct {
	// glob is compared with the whole name of the image.
	// +optional
	Glob string `json:"glob,omitempty"`
}

// MatchResource selects resources by group, version and resource, and by their labels.
// +kubebuilder:pruning:PreserveUnknownFields
type MatchResource struct {
	// group is that of the resource.
	// +optional
	Group string `json:"group,omitempty"`
	// version is that of the resource, or * for any.
	// +optional
	Version string `json:"version,omitempty"`
	// resource is its plural name.
	// +optional
	Resource string `json:"resource,omitempty"`
	// selector selects by the labels of the object. It defaults to all.
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
}

// Policy is a program that is evaluated over what was found.
// +kubebuilder:pruning:PreserveUnknownFields
type Policy struct {
	// type is cue or rego.
	// +optional
	Type string `json:"type,omitempty"`
	// data is the program.
	// +optional
	Data string `json:"data,omitempty"`
	// remote says where the program is downloaded from.
	// +optional
	Remote *RemotePolicy `json:"remote,omitempty"`
	// configMapRef names the ConfigMap that holds the program.
	// +optional
	ConfigMapRef *ConfigMapReference `json:"configMapRef,omitempty"`
	// fetchConfigFile gives the image's configuration to the program.
	// +optional
	FetchConfigFile *bool `json:"fetchConfigFile,omitempty"`
	// includeSpec gives the object's spec to the program.
	// +optional
	IncludeSpec *bool `json:"includeSpec,omitempty"`
	// includeObjectMeta gives the object's metadata to the program.
	// +optional
	IncludeObjectMeta *bool `json:"includeObjectMeta,omitempty"`
	// includeTypeMeta gives the object's kind to the program.
	// +optional
	IncludeTypeMeta *bool `json:"includeTypeMeta,omitempty"`
}

// RemotePolicy is a program that is downloaded.
// +kubebuilder:pruning:PreserveUnknownFields
type RemotePolicy struct {
	// url is where the program is.
	// +optional
	URL string `json:"url,omitempty"`
	// sha256sum is the hash that it must have.
	// +optional
	Sha256sum string `json:"sha256sum,omitempty"`
}

// ConfigMapReference names one key of a ConfigMap.
// +kubebuilder:pruning:PreserveUnknownFields
type ConfigMapReference struct {
	// name is that of the ConfigMap.
	// +optional
	Name string `json:"name,omitempty"`
	// namespace is that of the ConfigMap.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// key is the key in its data.
	// +optional
	Key string `json:"key,omitempty"`
}

// Status is what controllers found: Knative's, in which conditions of any type can be.
type Status struct {
	// observedGeneration is the generation that policy-controller looked at.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// annotations is further state of policy-controller.
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
	// conditions are those of policy-controller, and countersign's own, whose type
	// begins with Countersign.
	// +optional
	Conditions []Condition `json:"conditions,omitempty"`
}

// Condition is one of Knative's conditions.
type Condition struct {
	// type is the name of the condition.
	// +required
	Type string `json:"type"`
	// status is True, False or Unknown.
	// +required
	Status string `json:"status"`
	// severity says how bad it is that it does not hold. It defaults to Error.
	// +optional
	Severity string `json:"severity,omitempty"`
	// lastTransitionTime is when it changed last.
	// +optional
	LastTransitionTime string `json:"lastTransitionTime,omitempty"`
	// reason is one word.
	// +optional
	Reason string `json:"reason,omitempty"`
	// message is for people.
	// +optional
	Message string `json:"message,omitempty"`
}
