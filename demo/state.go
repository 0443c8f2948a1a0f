package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"tollbook/app/secret"
)

// State is what the demo has to remember between starts. It holds secrets in the
// clear and is a file of mode 0600.
type State struct {
	MasterKey    string            `json:"master_key"`
	LogKey       string            `json:"log_key"` // beside the master key only because it is a demo
	ClientSecret string            `json:"client_secret"`
	Seeded       bool              `json:"seeded"`
	IssuerURL    string            `json:"issuer_url"`            // whose people were admitted
	Proposed     bool              `json:"proposed,omitempty"`    // what waits for a decision is there
	Noted        bool              `json:"noted,omitempty"`       // what owners say of the month before is there
	ReceivesAt   string            `json:"receives_at,omitempty"` // whose second budget owner was admitted
	OperatedAt   string            `json:"operated_at,omitempty"` // whose operator was
	VirtualKeys  map[string]string `json:"virtual_keys"`
	APITokens    map[string]string `json:"api_tokens"`
}

const stateFile = "state.json"

// LoadState reads the state of a data directory, or makes a first one.
func LoadState(dir string) (*State, error) {
	content, err := os.ReadFile(filepath.Join(dir, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return &State{MasterKey: secret.NewMaster().Reveal(), LogKey: secret.NewMaster().Reveal(), ClientSecret: secret.Mint("").Reveal(), VirtualKeys: map[string]string{}, APITokens: map[string]string{}}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the demo's state: %w", err)
	}
	var s State
	if err := json.Unmarshal(content, &s); err != nil {
		return nil, fmt.Errorf("the demo's state in %s cannot be read; start once with --fresh: %w", filepath.Join(dir, stateFile), err)
	}
	if s.LogKey == "" { // a state of before there was one
		s.LogKey = secret.NewMaster().Reveal()
	}
	return &s, nil
}

// Save writes the state so that a crash leaves the old one or the new one.
func (s *State) Save(dir string) error { return writeJSON(filepath.Join(dir, stateFile), s) }

// Card is demo.json: what a program needs to use the demo.
type Card struct {
	WebURL       string            `json:"web_url"`
	GatewayURL   string            `json:"gateway_url"`
	DatabaseURL  string            `json:"database_url"` // a superuser's
	SimulatorURL string            `json:"simulator_url"`
	VirtualKeys  map[string]string `json:"virtual_keys"` // by cost center code
	APITokens    map[string]string `json:"api_tokens"`   // by role
	SignIn       map[string]string `json:"sign_in"`      // by role, and as operator: starts the real sign-in
	SignUp       string            `json:"sign_up"`      // starts the real sign-up of somebody who has no company
	MailURL      string            `json:"mail_url"`     // shows the mail that was caught
}

// Write writes demo.json.
func (c Card) Write(dir string) error { return writeJSON(filepath.Join(dir, "demo.json"), c) }

func writeJSON(path string, value any) error {
	content, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", filepath.Base(path), err)
	}
	next := path + ".next"
	if err := os.WriteFile(next, append(content, '\n'), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	if err := os.Rename(next, path); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return nil
}
