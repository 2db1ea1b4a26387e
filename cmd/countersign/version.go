// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(c.OutOrStdout(), versionText())
			return err
		},
	}
}

// versionText is the version as the Go command recorded it in the binary.
func versionText() string {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return "countersign (unknown build)"
	}
	words := []string{"countersign", build.Main.Version}
	for _, setting := range build.Settings {
		if setting.Key == "vcs.revision" {
			words = append(words, setting.Value)
		}
	}
	return strings.Join(append(words, build.GoVersion), " ")
}
