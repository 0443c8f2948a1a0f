package app

import (
	"encoding/hex"
	"fmt"
	"time"

	"tollbook/app/approval"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/db"
)

// keyPayload is what a change says of the virtual key it makes: codes for people, ids for
// what they meant when it was asked for, and of its secret the keyed hash.
type keyPayload struct {
	Key               id.Key    `json:"key"`
	Label             string    `json:"label"`
	CostCenter        string    `json:"cost_center"`
	Node              id.Node   `json:"node"`
	Projects          []string  `json:"projects"`
	ProjectIDs        []id.Node `json:"project_ids"`
	Hash              string    `json:"key_hash"`
	Hint              string    `json:"hint"`
	ExpiresAt         string    `json:"expires_at,omitempty"`
	Models            []string  `json:"models,omitempty"`
	RequestsPerMinute int64     `json:"requests_per_minute,omitempty"`
}

// applyKey makes the key that a change says. What it charges is looked at again: it may
// have ended since the change was proposed.
func (k *Keys) applyKey(tx *db.Tx, c approval.Change) error {
	var p keyPayload
	if err := stored(c, &p); err != nil {
		return err
	}
	fresh := db.FreshKey{ID: p.Key, Label: p.Label, Hint: p.Hint, Models: p.Models, RequestsPerMinute: p.RequestsPerMinute}
	var err error
	if fresh.Hash, err = hashOf(p.Hash); err != nil {
		return fmt.Errorf("read hash of key %s: %w", p.Key, err)
	}
	if p.ExpiresAt != "" {
		if fresh.ExpiresAt, err = time.Parse(time.RFC3339Nano, p.ExpiresAt); err != nil {
			return fmt.Errorf("read end of key %s: %w", p.Key, err)
		}
		if !fresh.ExpiresAt.After(tx.Now) {
			return errOvertaken("expires_past", "The key would have ended before it was decided. Ask for another.")
		}
	}
	from := later(c.EffectiveFrom, tx.Now)
	tree, err := treeAt(tx, from)
	if err != nil {
		return err
	}
	for _, n := range append([]id.Node{p.Node}, p.ProjectIDs...) {
		if _, ok := tree.Node(n); !ok {
			return errOvertaken("node_absent", "A node that the key would charge does not exist any more. Ask for another key.")
		}
	}
	if _, retires, err := tx.NodeEnds(p.Node); err != nil || retires {
		if err != nil {
			return err
		}
		return errOvertaken("cost_center_ends", "The cost center that the key would charge retires. Choose one that stays.")
	}
	if err := tx.AddKey(fresh, c.ID); err != nil {
		return err
	}
	return tx.AssignKey(id.NewVersion(tx.Now), p.Key, p.Node, p.ProjectIDs, from, c.ID)
}

// hashOf reads a keyed hash as payloads have it.
func hashOf(text string) (secret.Hash, error) {
	var hash secret.Hash
	plain, err := hex.DecodeString(text)
	if err == nil && len(plain) != len(hash) {
		err = fmt.Errorf("it has %d bytes", len(plain))
	}
	copy(hash[:], plain)
	return hash, err
}

func (k *Keys) keyImpact(_ *db.Tx, c approval.Change) (approval.Impact, error) {
	var p keyPayload
	err := stored(c, &p)
	return approval.Impact{
		Sentence: fmt.Sprintf("A virtual key %q charges %s once this is approved; its maker holds the secret already, which works from then on.", p.Label, p.CostCenter),
		Touches:  append([]id.Node{p.Node}, p.ProjectIDs...),
	}, err
}
