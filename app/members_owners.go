package app

import (
	"context"
	"slices"
	"strings"

	"tollbook/app/id"
	"tollbook/db"
)

// Owners names members who own nodes, for who reads the hierarchy. Names that were erased
// stay opaque.
func (m *Members) Owners(ctx context.Context, who Actor, owners []id.Member) (map[id.Member]string, error) {
	if err := m.access.Check(who, "node", "read"); err != nil {
		return nil, err
	}
	var keys []string
	for _, owner := range owners {
		if !owner.IsZero() && !slices.Contains(keys, owner.String()) {
			keys = append(keys, owner.String())
		}
	}
	names := map[id.Member]string{}
	if len(keys) == 0 {
		return names, nil
	}
	err := m.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		hands, err := m.hands(tx, keys)
		for _, h := range hands {
			names[h.Member] = h.Name
		}
		return err
	})
	return names, err
}

// Candidate is a member whom a node may be given to.
type Candidate struct {
	Member id.Member
	Name   string
}

// maxCandidates bounds a list to choose from.
const maxCandidates = 1000

// Candidates are the persons who can own a node, by name, for who may propose that.
func (m *Members) Candidates(ctx context.Context, who Actor) ([]Candidate, error) {
	if err := m.access.Check(who, "node", "propose"); err != nil {
		return nil, err
	}
	var list []Candidate
	err := m.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		members, err := m.membersAt(tx, tx.Now)
		if err != nil {
			return err
		}
		list = nil
		for i := range members {
			if members[i].State() == MemberActive && !members[i].Service {
				list = append(list, Candidate{Member: members[i].ID, Name: members[i].Name})
			}
		}
		slices.SortFunc(list, func(a, b Candidate) int { return strings.Compare(a.Name+a.Member.String(), b.Name+b.Member.String()) })
		list = list[:min(len(list), maxCandidates)]
		return nil
	})
	return list, err
}
