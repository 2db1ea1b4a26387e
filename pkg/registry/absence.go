// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"net/http"
	"strings"
)

// absence judges a 404. That there is nothing is the registry's word: nil. A gateway
// whose registry is gone says 404 too, and that is an outage, in which what was verified
// before may go on.
//
// Registries say it in the form of the specification, or with a header of their own. Of a
// 404 that has neither, as static ones and gateways give it, a ping decides: a gateway
// without a registry has no /v2/. It is made as the handshake makes it, redirects included, for
// such answers alone, once for all who have one at that moment.
func (c *core) absence(ctx context.Context, r request, a answer) error {
	if a.code != "" || saysWhatItIs(a) {
		return nil
	}
	host := r.repository.RegistryStr()
	_, err := r.via.lane(host).vouching.do(ctx, "", func(ctx context.Context) (struct{}, error) {
		status, err := c.pingStatus(ctx, r.via, host, nil)
		switch {
		case err != nil:
			return struct{}{}, failure(ctx, host, err)
		case isOfRegistry(status):
			return struct{}{}, nil
		}
		return struct{}{}, unavailable("registry %s answered 404, and %d to the question whether it is a registry: something else answers in its place", host, status)
	})
	if err != nil {
		return failure(ctx, host, err)
	}
	return nil
}

// saysWhatItIs tells whether an answer has the header of the registries of the Docker
// distribution and its heirs.
func saysWhatItIs(a answer) bool {
	return strings.HasPrefix(a.header.Get("Docker-Distribution-Api-Version"), "registry/2")
}

// isOfRegistry tells whether a registry may answer a ping with a status.
func isOfRegistry(status int) bool {
	switch status {
	case http.StatusOK, http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
		return true
	}
	return false
}
