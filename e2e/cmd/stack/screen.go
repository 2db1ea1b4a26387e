// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// screen prints a demonstration: commands, what they print, and what it means.
type screen struct {
	out    io.Writer
	colour bool
}

// newScreen prints to file, in colour if it is a terminal and its user has not
// asked for none (no-color.org).
func newScreen(file *os.File) *screen {
	info, err := file.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	return &screen{out: file, colour: terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// Styles, as SGR parameters (ECMA-48).
const (
	bold  = "1"
	dim   = "2"
	green = "1;32"
	red   = "1;31"
	cyan  = "36"
)

func (s *screen) paint(style, text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

func (s *screen) titlef(format string, args ...any) {
	fmt.Fprintf(s.out, "\n%s\n", s.paint(bold, fmt.Sprintf(format, args...)))
}

func (s *screen) sayf(format string, args ...any) {
	fmt.Fprintf(s.out, format+"\n", args...)
}

func (s *screen) command(line string) {
	fmt.Fprintf(s.out, "%s %s\n", s.paint(dim, "$"), s.paint(cyan, line))
}

func (s *screen) output(text string) {
	text = strings.TrimRight(text, "\n")
	if text == "" {
		return
	}
	for line := range strings.Lines(text) {
		fmt.Fprintln(s.out, wrap(strings.TrimRight(line, "\n"), width))
	}
}

// width is that of the terminals that the demonstration is for, in columns.
const width = 100

// wrap breaks a line where it can be, at spaces and before the digest of an image, so
// that its parts are no wider than width columns. All but the first are indented more.
func wrap(line string, width int) string {
	indent := line[:len(line)-len(strings.TrimLeft(line, " "))] + "    "
	var wrapped strings.Builder
	for utf8.RuneCountInString(line) > width {
		head := string([]rune(line)[:width+1])
		end := max(strings.LastIndex(head, " "), strings.LastIndex(head, "@"))
		if strings.TrimSpace(line[:max(end, 0)]) == "" {
			break // it is one word
		}
		wrapped.WriteString(strings.TrimRight(line[:end], " ") + "\n")
		line = indent + strings.TrimLeft(line[end:], " ")
	}
	return wrapped.String() + line
}

func (s *screen) good(text string) { fmt.Fprintln(s.out, s.paint(green, "✓ "+text)) }

func (s *screen) bad(text string) { fmt.Fprintln(s.out, s.paint(red, "✗ "+text)) }
