package auditlog

import (
	"encoding/json"
	"io/fs"
	"slices"
	"strings"
)

// FileKeyStory holds the log's keys with what each signed of the next one (PublicKey).
const FileKeyStory = "log-keys.json"

// KeyUse is one key of a log's heads, and what it did in an export.
type KeyUse struct {
	Verifier   string
	EndorsedBy string // the key before that named it; empty: none did
	First      bool   // no key came before it
	Trusted    bool   // it came another way than with the export, or a trusted key named it
	Heads      int    // in the export that it signed
	From, To   int64  // the sizes of the first and the last of them
}

// Broken tells that nothing in the export vouches for the key: it follows others, and none
// of them named it.
func (k *KeyUse) Broken() bool { return !k.First && k.EndorsedBy == "" }

// TrustedKeys adds to keys that came another way those of an export that they vouch for.
// Without any it is none.
func TrustedKeys(bundle fs.FS, keys []string) ([]string, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	story, err := keyStory(bundle)
	return Trust(keys, story), err
}

// keyStory reads the keys an export tells; exports of before keys followed one another
// have none of what they signed.
func keyStory(bundle fs.FS) ([]PublicKey, error) {
	if _, err := fs.Stat(bundle, FileKeyStory); err != nil {
		text, err := readFile(bundle, FileKeys)
		if err != nil {
			return nil, err
		}
		var story []PublicKey
		for _, key := range Lines(text) {
			story = append(story, PublicKey{Verifier: key})
		}
		return story, nil
	}
	text, err := readFile(bundle, FileKeyStory)
	if err != nil {
		return nil, err
	}
	var story []PublicKey
	if json.Unmarshal(text, &story) != nil || len(story) > maxKeys {
		return nil, found("%s is no list of a log's keys", FileKeyStory)
	}
	return story, nil
}

// maxKeys bounds the keys of one log.
const maxKeys = 10_000

// useKeys lists the keys of the log's heads.
func (c *Checked) useKeys(story []PublicKey, trusted []string) {
	seen := false
	var before []string // a key that names itself, or one before it, vouches for nothing
	for _, key := range story {
		if name, _, _ := strings.Cut(key.Verifier, "+"); name != c.Manifest.Origin {
			continue
		}
		use := KeyUse{Verifier: key.Verifier, First: !seen, Trusted: slices.Contains(trusted, key.Verifier)}
		use.EndorsedBy, _ = Endorser(key, before)
		seen, before = true, append(before, key.Verifier)
		c.Keys = append(c.Keys, use)
	}
}

// signedBy notes which keys signed a head.
func (c *Checked) signedBy(message []byte, size int64) {
	for i := range c.Keys {
		use := &c.Keys[i]
		if len(SignedBy(message, []string{use.Verifier})) == 0 {
			continue
		}
		if use.Heads++; use.Heads == 1 {
			use.From, use.To = size, size
		}
		use.From, use.To = min(use.From, size), max(use.To, size)
	}
}

// Extends checks that the log of an export that was found good goes on from a head that was
// held elsewhere, and returns that head. Whether a trusted key signed it is told beside.
func Extends(bundle fs.FS, c *Checked, held []byte, keys []string) (head Checkpoint, signed bool, err error) {
	text, _, ok := strings.Cut(string(held), "\n\n")
	if !ok || len(held) > maxCheckpointBytes {
		return head, false, errCheckpoint
	}
	if head, err = parseCheckpoint(text + "\n"); err != nil {
		return head, false, err
	}
	signed = len(SignedBy(held, keys)) > 0
	if head.Origin != c.Manifest.Origin {
		return head, signed, found("the head held outside is of another log: %.80q", head.Origin)
	}
	root, known, err := c.rootAt(bundle, head.Size)
	switch {
	case err != nil:
		return head, signed, err
	case head.Size > c.Manifest.Size:
		return head, signed, &FindingError{Sequence: c.Manifest.Size, Why: "records from here on are missing: the head held outside has more of them"}
	case !known:
		return head, signed, found("the head held outside is of %d records, and this export cannot show the log at that size: export a time with record %d in it", head.Size, head.Size-1)
	case root != head.Root:
		return head, signed, found("the log was another one when the head held outside was signed: its %d records are not those that this export goes on from", head.Size)
	}
	return head, signed, nil
}

// rootAt is the log's root at a size, where the export can show it.
func (c *Checked) rootAt(bundle fs.FS, size int64) (root Hash, known bool, err error) {
	if root, known = c.roots[size]; known || size < c.Manifest.From || size > c.Manifest.Through || size == 0 {
		return root, known, nil
	}
	leaves, err := c.leaves(bundle)
	if err != nil {
		return root, false, err
	}
	outside, err := hashes(bundle, FileOutside)
	if err != nil {
		return root, false, err
	}
	before := 0 // what stands for the records before the first is the same at every size
	walk(0, c.Manifest.Size, c.Manifest.From, c.Manifest.Through, func(place Node) {
		if (place.Position+1)<<place.Level <= c.Manifest.From {
			before++
		}
	}, func(int64, int64) {})
	if root, err = SpanRoot(size, c.Manifest.From, leaves[:size-c.Manifest.From], outside[:before]); err != nil {
		return root, false, found("the log's root at %d records cannot be made of this export", size)
	}
	return root, true, nil
}
