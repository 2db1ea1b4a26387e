// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package conversion

import "k8s.io/apimachinery/pkg/util/validation/field"

// Expression returns what an expression of that API becomes, and whether it is kept.
func Expression(text string) (string, bool) {
	c := &converter{}
	converted := c.expression(field.NewPath("x"), text)
	return converted, len(c.refused) == 0
}
