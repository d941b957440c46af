package delegation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/winrmkit/winrmkit/internal/directory"
)

// An Edit says what a list is to become; the zero Edit leaves it alone. Made by
// [Set], [Add] and [Remove].
type Edit struct {
	how    how
	values []string
}

type how int

const (
	keep how = iota
	set
	add
	remove
)

// Set makes the list be these and no others.
func Set(values ...string) Edit { return Edit{set, slices.Clone(values)} }

// Add puts these on the list.
func Add(values ...string) Edit { return Edit{add, slices.Clone(values)} }

// Remove takes these off the list.
func Remove(values ...string) Edit { return Edit{remove, slices.Clone(values)} }

// A Change is what is to become of one computer account.
type Change struct {
	// Account is its name, with or without the '$'.
	Account string
	// Services edits the names of services that it may act on: class/host,
	// class/host:port.
	Services Edit
	// ProtocolTransition is nil to leave it as it is.
	ProtocolTransition *bool
	// Actors edits the accounts that may act on it: names of accounts of the
	// domain, a computer's with or without '$', or SIDs.
	Actors Edit
}

// Options are the details of [Directory.Apply]. nil is the zero value.
type Options struct {
	// DryRun finds out what would be done, and does nothing.
	DryRun bool
}

// A Result is what became of one account.
type Result struct {
	Account string      // as asked for
	Before  *Delegation // nil where it was not found
	After   *Delegation // read back; Before where nothing was to be done, nil in a dry run
	Steps   []Step      // what was done, in a dry run what would be; none: it was so already
	Err     error       // an *[AccountError]
}

// A Step is a modification of one attribute: of some values, or of the whole.
type Step struct {
	Op        string // "add", "delete" or "replace"
	Attribute string
	Values    []string // as an administrator reads them
}

func (s Step) String() string {
	return strings.TrimSpace(s.Op + " " + s.Attribute + " " + strings.Join(s.Values, ", "))
}

// Apply changes accounts, each at once or not at all, and reads them back. What
// is as it should be is not written. The results are in the order of the changes;
// one account's failure does not keep others from being changed. The error joins
// those of the accounts, or tells why there are no results.
func (d *Directory) Apply(ctx context.Context, changes []Change, o *Options) ([]Result, error) {
	if o == nil {
		o = &Options{}
	}
	results := make([]Result, len(changes))
	err := d.session(ctx, func(s *session) error {
		return s.apply(ctx, changes, results, o.DryRun)
	})
	if err != nil {
		return nil, err
	}
	var failed []error
	for i := range results {
		if r := &results[i]; r.Err != nil {
			r.Err = &AccountError{Account: r.Account, Err: r.Err}
			failed = append(failed, r.Err)
		}
	}
	return results, errors.Join(failed...)
}

// goal is a change whose names are resolved.
type goal struct {
	Change
	actors []sid
}

func (s *session) apply(ctx context.Context, changes []Change, results []Result, dry bool) error {
	names := make([]string, len(changes))
	for i, c := range changes {
		names[i] = c.Account
	}
	found, err := s.computers(names)
	if err != nil {
		return err
	}
	actors, err := s.actors(changes)
	if err != nil {
		return err
	}
	goals := make([]goal, len(changes))
	var written []string // accounts
	for i, c := range changes {
		r := &results[i]
		r.Account = c.Account
		if r.Before = found[fold(c.Account)]; r.Before == nil {
			r.Err = ErrNotFound
			continue
		}
		if goals[i], r.Err = resolve(c, actors); r.Err != nil {
			continue
		}
		if slices.Contains(written, fold(c.Account)) {
			r.Err = errTwice
			continue
		}
		steps, mods, err := goals[i].plan(r.Before)
		if err != nil {
			r.Err = err
			continue
		}
		r.Steps = steps
		s.nameSIDs(r.Steps)
		if len(mods) == 0 {
			r.After = r.Before
			continue
		}
		if dry {
			continue
		}
		if ctx.Err() != nil {
			r.Steps, r.Err = nil, context.Cause(ctx)
			continue
		}
		written = append(written, fold(c.Account))
		if err := s.conn.Modify(r.Before.DN, mods); err != nil {
			r.Err, r.Steps = modifyError(ctx, err, r.Steps), nil
		}
	}
	return s.readBack(ctx, goals, results, written)
}

// readBack reads what was written, and makes sure that nothing is left to do. The
// results stay even where it fails: the directory has changed.
func (s *session) readBack(ctx context.Context, goals []goal, results []Result, written []string) error {
	found, err := s.computers(written)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	var all []*Delegation
	for i := range results {
		r := &results[i]
		if r.Before != nil {
			all = append(all, r.Before)
		}
		if r.Err != nil || len(r.Steps) == 0 || !slices.Contains(written, fold(r.Account)) {
			continue
		}
		if err != nil {
			r.Err = &UnverifiedError{Err: err}
			continue
		}
		if r.After = found[fold(r.Account)]; r.After == nil {
			r.Err = &UnverifiedError{Err: ErrNotFound}
			continue
		}
		all = append(all, r.After)
		left, _, err := goals[i].plan(r.After)
		if err != nil || len(left) > 0 {
			r.Err = &UnverifiedError{Left: left, Err: err}
		}
	}
	if err != nil {
		return nil // it is in the results
	}
	if err := s.nameActors(all); err != nil && len(written) == 0 {
		return err
	}
	return nil
}

// fold is how names of computers are compared.
func fold(name string) string { return strings.ToLower(strings.TrimSuffix(name, "$")) }

// computers finds accounts by their names.
func (s *session) computers(names []string) (map[string]*Delegation, error) {
	found := map[string]*Delegation{}
	for part := range slices.Chunk(names, batch) {
		var filter strings.Builder
		for _, n := range part {
			filter.WriteString("(" + attrName + "=" + directory.Escape(strings.TrimSuffix(n, "$")+"$") + ")")
		}
		// Managed service accounts are computers too.
		accounts, err := s.find("(&(objectClass=computer)(|" + filter.String() + "))")
		if err != nil {
			return nil, err
		}
		for _, d := range accounts {
			found[fold(d.Account)] = d
		}
	}
	return found, nil
}

// actors finds the SIDs of all accounts that the changes name as actors, by folded
// name with what follows it: a computer's '$' or nothing.
func (s *session) actors(changes []Change) (map[string]sid, error) {
	var names []string
	for _, c := range changes {
		for _, a := range c.Actors.values {
			if _, isSID := parseSID(a); !isSID && !slices.Contains(names, fold(a)) {
				names = append(names, fold(a))
			}
		}
	}
	found := map[string]sid{}
	for part := range slices.Chunk(names, batch) {
		var filter strings.Builder
		for _, n := range part {
			n = directory.Escape(n)
			filter.WriteString("(" + attrName + "=" + n + ")(" + attrName + "=" + n + "$)")
		}
		entries, err := s.conn.Search("(|"+filter.String()+")", attrName, attrSID)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if id, _, err := cutSID(e.Value(attrSID)); err == nil {
				name := string(e.Value(attrName))
				s.names[id] = name
				found[strings.ToLower(name)] = id
			}
		}
	}
	return found, nil
}

// resolve checks a change and finds its actors.
func resolve(c Change, known map[string]sid) (goal, error) {
	g := goal{Change: c}
	for _, v := range c.Services.values {
		if !validService(v) {
			return g, &ServiceError{Service: v}
		}
	}
	for _, v := range c.Actors.values {
		id, ok := parseSID(v)
		if !ok {
			computer, isComputer := known[fold(v)+"$"]
			user, isUser := known[strings.ToLower(v)]
			switch {
			case isComputer && isUser && computer != user:
				return g, &ActorError{Actor: v, Ambiguous: true}
			case isComputer:
				id = computer
			case isUser:
				id = user
			default:
				return g, &ActorError{Actor: v}
			}
		}
		if !slices.Contains(g.actors, id) {
			g.actors = append(g.actors, id)
		}
	}
	return g, nil
}

// validService tells names of services by their form, class/host and at most a
// third part. See [MS-KILE] section 3.1.5.11.
func validService(name string) bool {
	parts := strings.Split(name, "/")
	return (len(parts) == 2 || len(parts) == 3) && !slices.Contains(parts, "") && !strings.ContainsAny(name, " \t\r\n\x00@")
}

// plan finds what is to be written to make the account as it should be.
func (g *goal) plan(d *Delegation) ([]Step, []directory.Change, error) {
	var p plan
	g.planServices(&p, d.Services)
	if want := g.ProtocolTransition; want != nil && *want != d.ProtocolTransition {
		n := d.control ^ bitTransition
		// The attribute is signed.
		p.add(directory.Replace, attrControl, []string{strconv.Itoa(int(int32(n)))}, []string{fmt.Sprintf("%#x", n)}) //nolint:gosec // see above
	}
	if err := g.planActors(&p, d); err != nil {
		return nil, nil, err
	}
	return p.steps, p.mods, nil
}

type plan struct {
	steps []Step
	mods  []directory.Change
}

func (p *plan) add(op directory.Op, attribute string, values, shown []string) {
	words := map[directory.Op]string{directory.Add: "add", directory.Delete: "delete", directory.Replace: "replace"}
	p.mods = append(p.mods, directory.Change{Op: op, Attribute: attribute, Values: values})
	p.steps = append(p.steps, Step{Op: words[op], Attribute: attribute, Values: shown})
}

// planServices adds and deletes single values, so that what others write at the
// same time stays. The directory compares the names without regard to case.
func (g *goal) planServices(p *plan, have []string) {
	in := func(list []string, v string) bool {
		return slices.ContainsFunc(list, func(w string) bool { return strings.EqualFold(v, w) })
	}
	e := g.Services
	var off, on []string
	for _, v := range have {
		if e.how == set && !in(e.values, v) || e.how == remove && in(e.values, v) {
			off = append(off, v)
		}
	}
	for _, v := range e.values {
		if (e.how == set || e.how == add) && !in(have, v) && !in(on, v) {
			on = append(on, v)
		}
	}
	if len(off) > 0 {
		p.add(directory.Delete, attrServices, off, off)
	}
	if len(on) > 0 {
		p.add(directory.Add, attrServices, on, on)
	}
}

// planActors changes the one value that holds all actors.
func (g *goal) planActors(p *plan, d *Delegation) error {
	if g.Actors.how == keep {
		return nil
	}
	list := newDescriptor()
	if len(d.list) > 0 {
		read, err := parseDescriptor(d.list)
		if err != nil && g.Actors.how != set {
			return err
		}
		if err == nil {
			list = read
		}
	}
	changed := d.Malformed != nil
	if g.Actors.how == set {
		before := len(list.dacl.aces)
		list.dacl.aces = slices.DeleteFunc(list.dacl.aces, func(a ace) bool {
			return !a.grants() || !slices.Contains(g.actors, a.sid)
		})
		changed = changed || len(list.dacl.aces) != before
	}
	for _, id := range g.actors {
		edit := list.grant
		if g.Actors.how == remove {
			edit = list.revoke
		}
		changed = edit(id) || changed
	}
	if !changed {
		return nil
	}
	if len(list.dacl.aces) == 0 {
		p.add(directory.Delete, attrActors, nil, nil)
		return nil
	}
	value, err := list.append(nil)
	if err != nil {
		return err
	}
	var shown []string
	sids, _ := list.actors()
	for _, id := range sids {
		shown = append(shown, id.String())
	}
	p.add(directory.Replace, attrActors, []string{string(value)}, shown)
	return nil
}

// nameSIDs puts names for the SIDs of steps, where they are known.
func (s *session) nameSIDs(steps []Step) {
	for _, st := range steps {
		if st.Attribute != attrActors {
			continue
		}
		for i, v := range st.Values {
			if id, ok := parseSID(v); ok && s.names[id] != "" {
				st.Values[i] = s.names[id] + " (" + v + ")"
			}
		}
	}
}
