package gateway

import (
	"encoding/json"
	"fmt"
	"time"

	"tollbook/app/id"
	"tollbook/app/usage"
)

// intent is what the journal knows of a request before it is sent: everything that
// does not depend on the answer. JSON, so that an operator can read it with
// `tollbook journal show`; names are short because every request writes one.
type intent struct {
	Tenant    id.Tenant         `json:"t"`
	Key       id.Key            `json:"k"`
	Developer id.Developer      `json:"d,omitzero"`
	Label     []byte            `json:"l,omitempty"` // sealed
	Verified  bool              `json:"v,omitempty"` // the developer signed in
	Model     string            `json:"m"`
	Shares    []usage.Share     `json:"s"`
	Rule      string            `json:"r"`
	Version   int64             `json:"rv,omitempty"` // of the rules that were asked
	Change    id.Change         `json:"ch,omitzero"`  // what put it there
	Snapshot  int64             `json:"n"`
	Project   string            `json:"p,omitempty"`
	Tags      map[string]string `json:"g,omitempty"`
	Session   string            `json:"c,omitempty"`
	Agent     string            `json:"a,omitempty"`
	Parent    string            `json:"pa,omitempty"`
	Class     string            `json:"rc,omitempty"`
	Bytes     int64             `json:"by,omitempty"` // of the body; with MaxTokens what an estimate of its price starts from
	MaxTokens int64             `json:"mt,omitempty"`
	Sequence  int64             `json:"q"`
}

// outcome is what came of it.
type outcome struct {
	State     usage.State  `json:"st"`
	Status    int          `json:"h"`
	RequestID string       `json:"i,omitempty"`
	MessageID string       `json:"mi,omitempty"`
	Stop      string       `json:"sr,omitempty"`
	Counts    usage.Counts `json:"u"`
	Flags     []string     `json:"f,omitempty"`
	Raw       []byte       `json:"w,omitempty"`
	SentAt    time.Time    `json:"b,omitzero"`
	FirstAt   time.Time    `json:"fb,omitzero"`
	EndedAt   time.Time    `json:"e,omitzero"`
}

// event joins an intent and its outcome into what the ledger takes.
func event(at id.Event, replica id.Replica, in *intent, out *outcome) usage.Event {
	return usage.Event{
		ID: at, State: out.State, HTTPStatus: out.Status, RequestID: out.RequestID, MessageID: out.MessageID,
		SessionID: in.Session, AgentID: in.Agent, ParentAgentID: in.Parent, RequestClass: in.Class, StopReason: out.Stop,
		Key: in.Key, Developer: in.Developer, DeveloperVerified: in.Verified, DeveloperLabel: in.Label, ModelRequested: in.Model, Counts: out.Counts,
		Shares: in.Shares, Rule: in.Rule, RuleVersion: in.Version, Change: in.Change, Snapshot: in.Snapshot, Project: in.Project, Tags: in.Tags, Flags: out.Flags, RawUsage: out.Raw,
		UpstreamStartedAt: out.SentAt, FirstByteAt: out.FirstAt, EndedAt: out.EndedAt, Replica: replica, ReplicaSequence: in.Sequence,
	}
}

// openOutcome stands for an answer nobody lived to see.
func openOutcome() *outcome { return &outcome{State: usage.StateOpen} }

func decodeIntent(payload []byte) (*intent, error) {
	var in intent
	if err := json.Unmarshal(payload, &in); err != nil {
		return nil, fmt.Errorf("decode journal intent: %w", err)
	}
	return &in, nil
}

func decodeOutcome(payload []byte) (*outcome, error) {
	var out outcome
	if err := json.Unmarshal(payload, &out); err != nil {
		return nil, fmt.Errorf("decode journal outcome: %w", err)
	}
	return &out, nil
}
