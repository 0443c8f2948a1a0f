package app

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/db"
)

// Bounds of a rotation.
const (
	// OverlapUsual is how long the secret before is accepted unless somebody says otherwise.
	OverlapUsual   = 24 * time.Hour
	maxOverlap     = 90 * 24 * time.Hour
	maxLiveSecrets = 5
)

// Rotation replaces a key's secret.
type Rotation struct {
	Key id.Key
	// EarlierUntil is when the secrets it has now end; zero for OverlapUsual from now, and
	// no later than a rotation before said.
	EarlierUntil time.Time
}

// RotateOnce gives a key another secret, valid at once, beside the one it has, which
// ends at an instant of the maker's choice. The key, its cost center and its terms stay.
func (k *Keys) RotateOnce(ctx context.Context, who Actor, want Rotation, reason, once string) (MadeKey, error) {
	if err := k.access.Check(who, "key", "propose"); err != nil {
		return MadeKey{}, err
	}
	var made MadeKey
	err := k.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		stored, err := doOnce(tx, k.ring, who, once, "key.rotate", map[string]any{"want": want, "reason": reason}, func() (rememberedKey, error) {
			fresh, err := k.rotate(tx, who, want, reason)
			return rememberedKey{MadeKey: fresh, Plain: fresh.Secret.Reveal()}, err
		})
		made = stored.MadeKey
		made.Secret = secret.NewText(stored.Plain)
		return err
	})
	return made, err
}

func (k *Keys) rotate(tx *db.Tx, who Actor, want Rotation, reason string) (MadeKey, error) {
	row, tree, err := k.locked(tx, who, want.Key)
	if err != nil {
		return MadeKey{}, err
	}
	view := keyView(row, tree)
	if want.EarlierUntil.IsZero() {
		want.EarlierUntil = tx.Now.Add(OverlapUsual)
	}
	until := want.EarlierUntil.UTC().Truncate(time.Microsecond)
	switch {
	case view.State(tx.Now) == KeyRevoked:
		return MadeKey{}, errKeyRevoked
	case view.State(tx.Now) == KeyExpired:
		return MadeKey{}, fault.New(fault.KindConflict, "key_expired", "That key has expired. Make a new one.")
	case until.Before(tx.Now.Add(-time.Minute)): // a minute: who chose this very instant has been typing
		return MadeKey{}, fault.Invalid("earlier_until", "earlier_until_past", "That instant has passed. The present key can end now or later.")
	case until.After(tx.Now.Add(maxOverlap)):
		return MadeKey{}, fault.Invalid("earlier_until", "earlier_until_late", "The present key can go on for at most %d days.", int(maxOverlap/(24*time.Hour)))
	}
	place, err := nextSecret(tx, want.Key)
	if err != nil {
		return MadeKey{}, err
	}
	made := MadeKey{ID: row.ID, Label: row.Label, CostCenter: view.CostCenter, Secret: secret.Mint(keyPrefix)}
	fresh := db.FreshSecret{Version: id.NewVersion(tx.Now), Key: row.ID, Place: place, EarlierUntil: until}
	fresh.Hash, fresh.Hint = k.stored(made.Secret)
	p := proposal{kind: changeKeySecret, reason: reason, payload: secretPayload{
		Key: row.ID, Place: place, Hash: hex.EncodeToString(fresh.Hash[:]), Hint: fresh.Hint, EarlierUntil: until.Format(time.RFC3339Nano),
	}}
	nothing := func(approval.Change) error { return nil } // the payload has all there is
	made.Change, err = k.changes.issue(tx, who, p, nothing, func(c approval.Change) error { return tx.AddKeySecret(fresh, c.ID) })
	return made, err
}

// nextSecret is the place of a key's next secret.
func nextSecret(tx *db.Tx, key id.Key) (int, error) {
	secrets, err := tx.KeySecrets(key)
	if err != nil {
		return 0, err
	}
	live := 0
	for _, s := range secrets {
		if s.EndsAt == nil || s.EndsAt.After(tx.Now) {
			live++
		}
	}
	if live >= maxLiveSecrets {
		return 0, fault.New(fault.KindConflict, "key_secrets_many", "This key has five secrets that are accepted. Wait until one ends, or revoke the key.")
	}
	return secrets[0].Place + 1, nil
}

// secretPayload is what a change says of a key's further secret: its keyed hash.
type secretPayload struct {
	Key          id.Key `json:"key"`
	Place        int    `json:"place"`
	Hash         string `json:"key_hash"`
	Hint         string `json:"hint"`
	EarlierUntil string `json:"earlier_until"`
}

// applySecret has a key accept the secret its maker holds. Those before end when the maker
// said, or now where that has passed: they go on until then, however long the decision took.
func (k *Keys) applySecret(tx *db.Tx, c approval.Change) error {
	var p secretPayload
	if err := stored(c, &p); err != nil {
		return err
	}
	if err := tx.LockKey(p.Key); err != nil {
		return err
	}
	row, err := tx.Key(p.Key)
	switch {
	case err != nil:
		return err
	case row.RevokedAt != nil:
		return errKeyRevoked
	}
	place, err := nextSecret(tx, p.Key)
	if err != nil {
		return err
	}
	fresh := db.FreshSecret{Version: id.NewVersion(tx.Now), Key: p.Key, Place: place, Hint: p.Hint}
	until, err := time.Parse(time.RFC3339Nano, p.EarlierUntil)
	if err != nil {
		return fmt.Errorf("read end of the secrets of %s: %w", p.Key, err)
	}
	fresh.EarlierUntil = later(until, tx.Now)
	if fresh.Hash, err = hashOf(p.Hash); err != nil {
		return fmt.Errorf("read hash of a secret of %s: %w", p.Key, err)
	}
	return tx.AddKeySecret(fresh, c.ID)
}

func (k *Keys) secretImpact(tx *db.Tx, c approval.Change) (approval.Impact, error) {
	var p secretPayload
	if err := stored(c, &p); err != nil {
		return approval.Impact{}, err
	}
	row, err := tx.Key(p.Key)
	return approval.Impact{
		Sentence: fmt.Sprintf("The virtual key %q has another secret, which its maker holds already and which works once this is approved; those before end %s, or at the approval if that is later.", row.Label, p.EarlierUntil),
		Touches:  []id.Node{row.NodeID},
	}, err
}

// KeySecret is one version of a key: a secret it was or is known by.
type KeySecret struct {
	Place      int // 1 for the first
	Hint       string
	RecordedAt time.Time
	EndsAt     time.Time // zero while nothing ends it but the key itself
}

// Accepted tells whether gateways take the secret at an instant, if the key is active.
func (s KeySecret) Accepted(now time.Time) bool { return s.EndsAt.IsZero() || now.Before(s.EndsAt) }

// KeyStory is a key with everything that is known of it.
type KeyStory struct {
	KeyUsed
	Path    string // of its cost center
	Secrets []KeySecret
	History []ChangeView
}

// Story shows one key: its terms, its secrets, what it was used for this month and the
// changes that made it what it is.
func (k *Keys) Story(ctx context.Context, who Actor, key id.Key) (KeyStory, error) {
	if err := k.access.Check(who, "key", "read"); err != nil {
		return KeyStory{}, err
	}
	var story KeyStory
	err := k.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		row, tree, err := k.within(tx, who, key, "read")
		if err != nil {
			return err
		}
		use, err := keyUse(tx)
		if err != nil {
			return err
		}
		story = KeyStory{KeyUsed: used(keyView(row, tree), use[row.ID]), Path: tree.Path(row.NodeID)}
		secrets, err := tx.KeySecrets(key)
		if err != nil {
			return err
		}
		for _, s := range secrets {
			story.Secrets = append(story.Secrets, KeySecret{Place: s.Place, Hint: s.Hint, RecordedAt: s.RecordedAt.UTC(), EndsAt: orZero(s.EndsAt)})
		}
		changes, err := tx.KeyHistory(key)
		if err != nil {
			return err
		}
		for i := range changes {
			view, err := changeView(&changes[i])
			if err != nil {
				return err
			}
			story.History = append(story.History, view)
		}
		return nil
	})
	return story, err
}
