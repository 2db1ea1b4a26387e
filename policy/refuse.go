// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Refuse makes the authorities accept nothing that errors are about, and all of them
// where an error is about something else: what is misspelt may have asked for more. It is
// for objects that nobody could keep out of the cluster, and is called before the policy
// is in force.
func (p *Policy) Refuse(errs field.ErrorList) {
	if len(p.authorities) == 0 && len(errs) > 0 {
		// Whoever is refused by a policy without any is told why by one in their place.
		p.authorities = make([]authority, 1)
		p.authorities[0].name = "spec"
	}
	told := map[int]bool{} // who is refused is told the first error
	for _, err := range errs {
		cause := errors.New(err.ErrorBody())
		from, to := p.concerned(err.Field)
		for i := from; i < to; i++ {
			refused := p.unusable(p.authorities[i].name, PartSpec, err.Field, cause)
			if !told[i] {
				p.authorities[i], told[i] = refused, true
			}
		}
	}
}

// concerned returns the range of authorities that an error at a path is about: one, or
// all of them where it names none that there is.
func (p *Policy) concerned(path string) (from, to int) {
	for i := range p.authorities {
		if strings.HasPrefix(path, fmt.Sprintf("spec.authorities[%d]", i)) {
			return i, i + 1
		}
	}
	return 0, len(p.authorities)
}
