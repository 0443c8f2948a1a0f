package app

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"tollbook/app/fault"
	"tollbook/app/id"
)

//go:embed duties.csv
var dutyTable string

// When a conflict of duty is refused.
const (
	DutyHeld    = "held"    // when roles are given, and when a decision is made
	DutyDecided = "decided" // when a maker would decide
)

// Duty is one conflict of duty: nobody may have both sides.
type Duty struct {
	Code, When, Words string
	one, other        []right
}

// right is an object and an action; * is any object.
type right struct{ object, action string }

func (r right) String() string { return r.object + " " + r.action }

func parseDuties(table string) ([]Duty, error) {
	var list []Duty
	for line := range strings.Lines(table) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		fields := strings.SplitN(line, ", ", 5)
		if len(fields) != 5 || (fields[1] != DutyHeld && fields[1] != DutyDecided) {
			return nil, fmt.Errorf("read conflicts of duty: %q", line)
		}
		list = append(list, Duty{Code: fields[0], When: fields[1], one: parseRights(fields[2]), other: parseRights(fields[3]), Words: fields[4]})
	}
	return list, nil
}

func parseRights(text string) []right {
	var list []right
	for one := range strings.SplitSeq(text, " + ") {
		object, action, _ := strings.Cut(one, " ")
		list = append(list, right{object, action})
	}
	return list
}

// matrixRights lists every right the access matrix knows.
func matrixRights() []right {
	var list []right
	for _, line := range matrixLines() {
		if !slices.Contains(list, line.right) {
			list = append(list, line.right)
		}
	}
	return list
}

// denials lists what each role takes away.
func denials() map[Role][]right {
	list := map[Role][]right{}
	for _, line := range matrixLines() {
		if line.effect == "deny" {
			list[line.role] = append(list[line.role], line.right)
		}
	}
	return list
}

type matrixLine struct {
	role   Role
	right  right
	effect string
}

func matrixLines() []matrixLine {
	var list []matrixLine
	for line := range strings.Lines(accessMatrix) {
		fields := strings.Split(strings.TrimSpace(line), ", ")
		if len(fields) == 6 && fields[0] == "p" {
			list = append(list, matrixLine{role: Role(fields[1]), right: right{fields[3], fields[4]}, effect: fields[5]})
		}
	}
	return list
}

// Duties lists the conflicts of duty there are.
func (a *Access) Duties() []Duty { return slices.Clone(a.duties) }

// Conflicts lists the conflicts of duty that one person with some roles would be in by
// holding them.
func (a *Access) Conflicts(roles []Role) []Duty {
	var list []Duty
	for _, d := range a.duties {
		if d.When == DutyHeld && a.reaches(roles, d.one) && a.reaches(roles, d.other) {
			list = append(list, d)
		}
	}
	return list
}

// reaches says whether any of the roles by itself allows any of the rights: a deny in one
// account takes nothing from another account of the same person.
func (a *Access) reaches(roles []Role, side []right) bool {
	for _, role := range roles {
		for _, known := range a.rights {
			asked := slices.ContainsFunc(side, func(r right) bool { return r.action == known.action && (r.object == "*" || r.object == known.object) })
			if asked && a.may(id.Tenant{}, []Grant{{Role: role}}, known.object, known.action) {
				return true
			}
		}
	}
	return false
}

// ErrDuty refuses roles or a decision that conflicts of duty forbid.
var ErrDuty = fault.New(fault.KindForbidden, "duty_conflict", "Your roles are in a conflict of duty: who administers members approves nothing. Ask a tenant owner to take one of them.")

// refuseConflict refuses roles that must not meet in one person.
func (a *Access) refuseConflict(roles []Role) error {
	if found := a.Conflicts(roles); len(found) > 0 {
		return fault.Invalid("role", "duty_conflict", "These roles must not meet in one person. %s", found[0].Words)
	}
	return nil
}
