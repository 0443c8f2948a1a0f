package notice

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"tollbook/app/fault"
	"tollbook/app/id"
)

// Purpose is why somebody is told of a change.
type Purpose string

// The purposes. Those of people come first, those of systems name the event itself.
const (
	Asked       Purpose = "asked"       // to decide a step, now
	Reminded    Purpose = "reminded"    // of being asked
	Questioned  Purpose = "questioned"  // somebody asked about it
	Commented   Purpose = "commented"   // somebody said something about it
	Applied     Purpose = "applied"     // it was decided, and is in force as dated
	Rejected    Purpose = "rejected"    // it was decided against
	Withdrawn   Purpose = "withdrawn"   // it was taken back
	Expired     Purpose = "expired"     // nobody decided in time
	Told        Purpose = "told"        // every owner, of what changes who may sign in
	Delegated   Purpose = "delegated"   // somebody stands in for somebody
	Undelegated Purpose = "undelegated" // and does so no more
	Tested      Purpose = "tested"      // of a channel: whether it arrives
	Requested   Purpose = "requested"   // somebody asks them for an answer: a commentary, a dispute
	Recalled    Purpose = "recalled"    // of such an answer, which is owed
	Answered    Purpose = "answered"    // somebody answered them
	Fell        Purpose = "fell"        // signatures of a close count no more: one's own, or of one's steps

	Proposed     Purpose = "proposed"
	Revised      Purpose = "revised"
	StepApproved Purpose = "step_approved"
	Escalated    Purpose = "escalated"
)

// Topic is what a person may mute.
type Topic string

// The topics.
const (
	TopicAsked     Topic = "asked"
	TopicReminders Topic = "reminders"
	TopicRemarks   Topic = "remarks"
	TopicOutcomes  Topic = "outcomes"
)

// Topics lists what a person may mute, in the order pages show it.
func Topics() []Topic { return []Topic{TopicAsked, TopicReminders, TopicRemarks, TopicOutcomes} }

// Topic is what a purpose belongs to; empty for what nobody can mute.
func (p Purpose) Topic() Topic {
	switch p {
	case Asked, Requested:
		return TopicAsked
	case Reminded, Recalled:
		return TopicReminders
	case Questioned, Commented:
		return TopicRemarks
	case Applied, Rejected, Withdrawn, Expired, Answered, Fell:
		return TopicOutcomes
	case Told, Delegated, Undelegated, Tested, Proposed, Revised, StepApproved, Escalated:
	}
	return ""
}

// ParseTopics reads what somebody mutes: known topics, each once, in their order.
func ParseTopics(list []string) ([]Topic, error) {
	for _, one := range list {
		if !slices.Contains(Topics(), Topic(one)) {
			return nil, fault.Invalid("topic", "topic_unknown", "There is no mail about %.40q that could be muted.", one)
		}
	}
	var topics []Topic
	for _, topic := range Topics() {
		if slices.Contains(list, string(topic)) {
			topics = append(topics, topic)
		}
	}
	return topics, nil
}

// JoinTopics is how topics are stored.
func JoinTopics(topics []Topic) string {
	words := make([]string, 0, len(topics))
	for _, topic := range topics {
		words = append(words, string(topic))
	}
	return strings.Join(words, " ")
}

// Due is one message that somebody is due. Two that are equal are one message.
type Due struct {
	Version  int       `json:"v"`
	Purpose  Purpose   `json:"purpose"`
	Change   id.Change `json:"change"`
	Revision int       `json:"revision"`
	// Step is which step somebody is asked for; 0 where it is about none, else counting from 1.
	Step int       `json:"step,omitempty"`
	To   id.Member `json:"to"`
	// Record is the event; zero for what is said once however often its cause recurs.
	Record id.Record `json:"record,omitzero"`
}

// Content is the bytes to store and hash.
func (d Due) Content() ([]byte, [32]byte, error) {
	d.Version = 1
	content, err := json.Marshal(d)
	if err != nil {
		return nil, [32]byte{}, fmt.Errorf("encode notice: %w", err)
	}
	return content, sha256.Sum256(content), nil
}

// ParseDue reads back what a delivery is about.
func ParseDue(content []byte) (Due, error) {
	var d Due
	if err := json.Unmarshal(content, &d); err != nil {
		return Due{}, fmt.Errorf("read notice: %w", err)
	}
	if d.Version != 1 {
		return Due{}, fault.New(fault.KindInternal, "notice_version", "A notice of another version of Tollbook.")
	}
	return d, nil
}
