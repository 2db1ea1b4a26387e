// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"crypto"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const (
	// MaxWitnessPolicyBytes bounds the text of a witness policy: room for all that
	// maxPolicyNames allows, with post-quantum keys of 1,800 characters.
	MaxWitnessPolicyBytes = 128 << 10
	// maxPolicyNames bounds the witnesses, the groups and the logs of a policy, each.
	// C2SP asks for 32 at least.
	maxPolicyNames = 64
)

// WitnessPolicy says which witnesses must have cosigned a checkpoint before it is
// believed. Immutable; the zero value and nil ask for none.
//
//	witness X1 x1.example+1c2b3a4d+BO…     name, verifier key, optionally a URL
//	witness X2 x2.example+5e6f7a8b+BC…
//	group   X  any  X1 X2                  any, all, or how many of the members
//	quorum  X                              a group, a witness, or none
//
// See https://c2sp.org/tlog-policy.
type WitnessPolicy struct {
	// logs are the keys of the logs that the policy says it is for, if it says so.
	logs      []policyKey
	witnesses []witness
	// quorum is nil where the policy asks for no witness.
	quorum *quorum
}

// quorum is a witness, or a group of which a number of members is asked for. Every
// name is a member of one group at most (C2SP tlog-policy), so this is a tree: no
// witness counts in two places.
type quorum struct {
	name string
	// witness is the position in WitnessPolicy.witnesses; only without members.
	witness   int
	threshold int
	members   []*quorum
}

// ParseWitnessPolicy parses a policy in the syntax of C2SP tlog-policy. Its error
// begins with the number of the line that is wrong, counted from 1.
//
// Where the specification leaves it open: URLs are passed over, and the last line
// need not end in a newline.
func ParseWitnessPolicy(text string) (*WitnessPolicy, error) {
	if len(text) > MaxWitnessPolicyBytes {
		return nil, fmt.Errorf("the policy is longer than %d bytes", MaxWitnessPolicyBytes)
	}
	p := policyParser{defined: map[string]*definition{}, keys: map[string]int{}}
	for number, line := range enumerate(strings.SplitSeq(text, "\n")) {
		if err := p.parseLine(number, line); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	if p.quorumLine == 0 {
		return nil, errors.New(`no line says which quorum is asked for: "quorum <name>", or "quorum none"`)
	}
	return &p.policy, nil
}

// enumerate numbers lines from 1.
func enumerate(lines func(func(string) bool)) func(func(int, string) bool) {
	return func(yield func(int, string) bool) {
		number := 0
		for line := range lines {
			number++
			if !yield(number, line) {
				return
			}
		}
	}
}

// policyParser holds what the lines so far have defined.
type policyParser struct {
	policy  WitnessPolicy
	defined map[string]*definition
	// keys holds the line that each public key of a witness or log was given in.
	keys       map[string]int
	groups     int
	quorumLine int
}

// definition is a name that a line defined.
type definition struct {
	quorum *quorum
	line   int
	// group is the line that made this a member of a group, or 0.
	group int
}

func (p *policyParser) parseLine(number int, line string) error {
	// A carriage return would be part of a name, and two files that look alike
	// would say different things.
	if at := strings.IndexFunc(line, isControl); at >= 0 {
		return fmt.Errorf("character %d is the control character %q: a line holds none but tabs, and ends in a newline alone", at+1, line[at])
	}
	items := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
	if len(items) == 0 || strings.HasPrefix(items[0], "#") {
		return nil
	}
	switch keyword, items := items[0], items[1:]; keyword {
	case "log":
		return p.log(number, items)
	case "witness":
		return p.witness(number, items)
	case "group":
		return p.group(number, items)
	case "quorum":
		return p.quorum(number, items)
	default:
		return fmt.Errorf("%.40q is not one of log, witness, group, quorum", keyword)
	}
}

func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// log is "log <vkey> [<url>]".
func (p *policyParser) log(number int, items []string) error {
	if len(items) < 1 || len(items) > 2 {
		return errors.New(`a log is "log <verifier key> [<URL>]"`)
	}
	if len(p.policy.logs) == maxPolicyNames {
		return fmt.Errorf("the policy has more than %d logs", maxPolicyNames)
	}
	key, err := parseLogKey(items[0])
	if err != nil {
		return err
	}
	if err := p.claimKey(number, key); err != nil {
		return err
	}
	p.policy.logs = append(p.policy.logs, key)
	return nil
}

// witness is "witness <name> <vkey> [<url>]".
func (p *policyParser) witness(number int, items []string) error {
	if len(items) < 2 || len(items) > 3 {
		return errors.New(`a witness is "witness <name> <verifier key> [<URL>]"`)
	}
	if len(p.policy.witnesses) == maxPolicyNames {
		return fmt.Errorf("the policy has more than %d witnesses", maxPolicyNames)
	}
	w, err := parseWitness(items[0], items[1])
	if err != nil {
		return fmt.Errorf("witness %.80q: %w", items[0], err)
	}
	if err := p.claimKey(number, w.key); err != nil {
		return fmt.Errorf("witness %.80q: %w", items[0], err)
	}
	p.policy.witnesses = append(p.policy.witnesses, w)
	return p.define(number, &quorum{name: items[0], witness: len(p.policy.witnesses) - 1})
}

// group is "group <name> <any|all|k> <name>…".
func (p *policyParser) group(number int, items []string) error {
	if len(items) < 3 {
		return errors.New(`a group is "group <name> <any|all|number> <name>…"`)
	}
	if p.groups++; p.groups > maxPolicyNames {
		return fmt.Errorf("the policy has more than %d groups", maxPolicyNames)
	}
	name, names := items[0], items[2:]
	g := &quorum{name: name}
	for _, member := range names {
		// A name that only a later line defines is not defined here, so no
		// group can be in itself.
		known, ok := p.defined[member]
		switch {
		case !ok:
			return fmt.Errorf("group %.80q: no line above defines %.80q", name, member)
		case known.group != 0:
			return fmt.Errorf("group %.80q: line %d made %.80q a member of a group already, and each counts once", name, known.group, member)
		}
		known.group = number
		g.members = append(g.members, known.quorum)
	}
	var err error
	if g.threshold, err = parseThreshold(items[1], len(names)); err != nil {
		return fmt.Errorf("group %.80q: %w", name, err)
	}
	return p.define(number, g)
}

// parseThreshold returns how many of n members are asked for. It is never 0.
func parseThreshold(text string, n int) (int, error) {
	switch text {
	case "any":
		return 1, nil
	case "all":
		return n, nil
	}
	k, err := strconv.Atoi(text)
	if err != nil || strconv.Itoa(k) != text {
		return 0, fmt.Errorf("%.40q is not any, all, or a number", text)
	}
	if k < 1 || k > n {
		return 0, fmt.Errorf("%d of %d members cannot be asked for", k, n)
	}
	return k, nil
}

// quorum is "quorum <name>".
func (p *policyParser) quorum(number int, items []string) error {
	if len(items) != 1 {
		return errors.New(`a quorum is "quorum <name>", or "quorum none"`)
	}
	if p.quorumLine != 0 {
		return fmt.Errorf("line %d has said what the quorum is", p.quorumLine)
	}
	p.quorumLine = number
	if items[0] == nameNone {
		return nil
	}
	known, ok := p.defined[items[0]]
	if !ok {
		return fmt.Errorf("no line above defines %.80q", items[0])
	}
	p.policy.quorum = known.quorum
	return nil
}

// nameNone is the quorum of no witness.
const nameNone = "none"

func (p *policyParser) define(number int, q *quorum) error {
	if len(q.name) > maxKeyName {
		return fmt.Errorf("name %.20q… is longer than %d bytes", q.name, maxKeyName)
	}
	if q.name == nameNone {
		return fmt.Errorf("%q has a meaning of its own, and cannot be defined", nameNone)
	}
	if earlier, ok := p.defined[q.name]; ok {
		return fmt.Errorf("line %d has defined %.80q", earlier.line, q.name)
	}
	p.defined[q.name] = &definition{quorum: q, line: number}
	return nil
}

// claimKey makes sure that a key stands in one line only, whatever it is called there:
// a key under two names would count twice, and a log's own key is no witness.
func (p *policyParser) claimKey(number int, key policyKey) error {
	if earlier, ok := p.keys[key.public]; ok {
		return fmt.Errorf("line %d has the same public key", earlier)
	}
	p.keys[key.public] = number
	return nil
}

// CheckLog returns an error when the policy cannot be one for the log with this key: the
// log is one of its witnesses, or none of its logs.
func (p *WitnessPolicy) CheckLog(key crypto.PublicKey) error {
	public, err := barePublicKey(key)
	if err != nil {
		return err
	}
	for _, w := range p.witnesses {
		if w.key.public == public {
			return fmt.Errorf("witness %.80q has the key of the log, which cannot be its own witness", w.name)
		}
	}
	if len(p.logs) > 0 && !slices.ContainsFunc(p.logs, func(l policyKey) bool { return l.public == public }) {
		return fmt.Errorf("the policy is for %d other logs: no log line has the key of this one", len(p.logs))
	}
	return nil
}
