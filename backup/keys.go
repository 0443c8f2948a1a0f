package backup

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"filippo.io/age"

	"tollbook/app/secret"
)

// KeysFormat names the layout of the keys' file.
const KeysFormat = "tollbook keys 1"

// Keys are what opens a backup. They are written encrypted, never beside the data in the
// clear.
type Keys struct {
	AsOf          time.Time
	CodeVersion   string
	SchemaVersion int64
	MasterKeys    []secret.Text // newest first
	LogKey        secret.Text   // seed of the keys that sign the logs; empty: none
	Tables        []KeyTable
	Erased        []Erased
}

// KeyTable is a table whose rows are keys of people.
type KeyTable struct {
	Table
	Content []byte `json:"content"` // rows in Postgres's text format for COPY
}

// Erased names somebody whose keys were destroyed, by opaque ids alone.
type Erased struct {
	Tenant   string    `json:"tenant"`
	Kind     string    `json:"kind"`
	Subject  string    `json:"subject"`
	Change   string    `json:"change"`
	ErasedAt time.Time `json:"erased_at"`
}

// keysDocument is what is encrypted.
type keysDocument struct {
	Format        string        `json:"format"`
	AsOf          time.Time     `json:"as_of"`
	CodeVersion   string        `json:"code_version"`
	SchemaVersion int64         `json:"schema_version"`
	MasterKeys    []string      `json:"master_keys"`
	LogKey        string        `json:"log_key,omitempty"`
	Tables        []keyDocument `json:"tables"`
	Erased        []Erased      `json:"erased"`
}

type keyDocument struct {
	Table
	Content []byte `json:"content"`
}

// maxKeys bounds what is read of a keys' file: a million persons.
const maxKeys = 512 << 20

// Protection says to whom keys are encrypted: a passphrase, or recipients.
type Protection struct {
	Passphrase secret.Text
	Recipients []string // age1…, as age-keygen prints them
}

func (p Protection) recipients() ([]age.Recipient, error) {
	if len(p.Recipients) == 0 {
		if p.Passphrase.IsZero() {
			return nil, errors.New("keys are never written without a passphrase or a recipient")
		}
		r, err := age.NewScryptRecipient(p.Passphrase.Reveal())
		if err != nil {
			return nil, fmt.Errorf("the passphrase cannot be used: %w", err)
		}
		return []age.Recipient{r}, nil
	}
	if !p.Passphrase.IsZero() {
		return nil, errors.New("keys are encrypted to a passphrase or to recipients, not to both")
	}
	list := make([]age.Recipient, 0, len(p.Recipients))
	for _, text := range p.Recipients {
		r, err := age.ParseX25519Recipient(text)
		if err != nil {
			return nil, fmt.Errorf("%.80q is no recipient; it should be as age-keygen prints it, age1…: %w", text, err)
		}
		list = append(list, r)
	}
	return list, nil
}

// Check tells whether keys could be encrypted so.
func (p Protection) Check() error { _, err := p.recipients(); return err }

// Write encrypts the keys into the file path, which must not exist.
func (k *Keys) Write(path string, to Protection) error {
	recipients, err := to.recipients()
	if err != nil {
		return err
	}
	d := keysDocument{Format: KeysFormat, AsOf: k.AsOf, CodeVersion: k.CodeVersion, SchemaVersion: k.SchemaVersion, LogKey: k.LogKey.Reveal(), Erased: k.Erased}
	for _, m := range k.MasterKeys {
		d.MasterKeys = append(d.MasterKeys, m.Reveal())
	}
	for _, t := range k.Tables {
		d.Tables = append(d.Tables, keyDocument(t))
	}
	document, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("encode keys: %w", err)
	}
	file, err := fresh(path)
	if err != nil {
		return err
	}
	return settle(file, path, encrypt(file, recipients, document))
}

func encrypt(to io.Writer, recipients []age.Recipient, document []byte) error {
	sealed, err := age.Encrypt(to, recipients...)
	if err != nil {
		return err
	}
	if _, err := sealed.Write(document); err != nil {
		return err
	}
	return sealed.Close()
}

// Opening is what opens a keys' file: the passphrase, or the identities (AGE-SECRET-KEY-…)
// of one of its recipients.
type Opening struct {
	Passphrase secret.Text
	Identities secret.Text // a file's content
}

// ReadKeys decrypts a keys' file.
func ReadKeys(path string, with Opening) (*Keys, error) {
	var identities []age.Identity
	var err error
	if with.Identities.IsZero() {
		var one *age.ScryptIdentity
		if one, err = age.NewScryptIdentity(with.Passphrase.Reveal()); err == nil {
			identities = []age.Identity{one}
		}
	} else {
		identities, err = age.ParseIdentities(strings.NewReader(with.Identities.Reveal()))
	}
	if err != nil {
		return nil, fmt.Errorf("what should open the keys cannot be used: %w", err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	opened, err := age.Decrypt(bytes.NewReader(content), identities...)
	var document []byte
	if err == nil {
		document, err = io.ReadAll(io.LimitReader(opened, maxKeys))
	}
	if err != nil {
		return nil, fmt.Errorf("%s does not open: another passphrase or recipient, or a byte of it was changed: %w", path, err)
	}
	var d keysDocument
	if err := json.Unmarshal(document, &d); err != nil || d.Format != KeysFormat {
		return nil, fmt.Errorf("%s holds no keys of a backup that this release reads", path)
	}
	k := &Keys{AsOf: d.AsOf, CodeVersion: d.CodeVersion, SchemaVersion: d.SchemaVersion, LogKey: secret.NewText(d.LogKey), Erased: d.Erased}
	for _, m := range d.MasterKeys {
		k.MasterKeys = append(k.MasterKeys, secret.NewText(m))
	}
	for _, t := range d.Tables {
		k.Tables = append(k.Tables, KeyTable(t))
	}
	return k, nil
}
