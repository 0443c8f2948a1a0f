package notice

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tollbook/app/fault"
	"tollbook/app/id"
)

// ChannelKind is how a message travels.
type ChannelKind string

// The kinds. Mail goes to people, the others to a company's own systems.
const (
	Mail    ChannelKind = "mail"
	Slack   ChannelKind = "slack"   // or whatever takes what Slack takes
	Webhook ChannelKind = "webhook" // signed as Standard Webhooks say
)

// Telling is what a company's own systems are told of an event: no name, no reason and no
// remark, because who reads it there is not known here.
type Telling struct {
	Type      string    `json:"type"` // change.<purpose>
	Timestamp time.Time `json:"timestamp"`
	Data      Facts     `json:"data"`

	// Which event of which channel it is: not in the body, but in what makes it the same one.
	Event   id.Record  `json:"-"`
	Channel id.Channel `json:"-"`
}

// Facts is the change a telling is about.
type Facts struct {
	Tenant        string    `json:"tenant"` // its slug
	Change        id.Change `json:"change"`
	Number        int64     `json:"number"`
	Kind          string    `json:"kind"`
	State         string    `json:"state"`
	Maker         string    `json:"maker"` // an opaque id
	EffectiveFrom time.Time `json:"effective_from"`
	AmountMoved   string    `json:"amount_moved"` // US dollars
	Digest        string    `json:"digest"`
	URL           string    `json:"url"` // leads to the page, and decides nothing
}

// Body is what a channel of a kind is sent: as signed webhooks say it, or one line of text
// as Slack takes it. Words are the kind of change as people call it.
func (t *Telling) Body(kind ChannelKind, words string) ([]byte, error) {
	var form any = t
	if kind == Slack {
		amount := ""
		if t.Data.AmountMoved != "" && t.Data.AmountMoved != "0.00" {
			amount = ", moves $" + t.Data.AmountMoved
		}
		form = map[string]string{"text": fmt.Sprintf("Change %d (%s%s) %s. <%s|Open it in Tollbook>",
			t.Data.Number, slackText(words), amount, sentence(Purpose(strings.TrimPrefix(t.Type, "change."))), t.Data.URL)}
	}
	body, err := json.Marshal(form)
	if err != nil {
		return nil, fmt.Errorf("encode telling: %w", err)
	}
	return body, nil
}

// Digest is what makes a body the same message: it is said once for an event and channel.
func (t *Telling) Digest(body []byte) []byte {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%s %s ", t.Event, t.Channel)
	_, _ = h.Write(body)
	return h.Sum(nil)
}

// slackText escapes the three characters that mean something to Slack.
func slackText(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
}

func sentence(p Purpose) string {
	switch p {
	case Proposed:
		return "was proposed"
	case Revised:
		return "was edited: what was approved before counts no more"
	case StepApproved:
		return "has one more approval"
	case Escalated:
		return "waits for long; others may decide now as well"
	case Reminded:
		return "still waits for a decision"
	case Questioned:
		return "was asked about"
	case Commented:
		return "was commented on"
	case Applied:
		return "was approved and applied"
	case Rejected:
		return "was rejected"
	case Withdrawn:
		return "was withdrawn"
	case Expired:
		return "expired: nobody decided in time"
	case Delegated:
		return "lets somebody stand in for somebody"
	case Undelegated:
		return "ended a delegation"
	case Tested:
		return "is a test: this channel works"
	case Asked, Told, Requested, Recalled, Answered, Fell:
	}
	return "concerns you"
}

const (
	secretPrefix = "whsec_"
	secretBytes  = 32
)

// NewSecret mints the secret of a signed webhook in the form of Standard Webhooks.
func NewSecret() string {
	raw := make([]byte, secretBytes)
	_, _ = rand.Read(raw) // never fails (crypto/rand)
	return secretPrefix + base64.StdEncoding.EncodeToString(raw)
}

// Sign is the header webhook-signature over an id, an instant and a body.
func Sign(secret, messageID string, at time.Time, body []byte) (string, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, secretPrefix))
	if err != nil || len(key) == 0 {
		return "", fault.New(fault.KindInternal, "webhook_secret", "The secret of a channel cannot be read.")
	}
	mac := hmac.New(sha256.New, key)
	_, _ = fmt.Fprintf(mac, "%s.%s.", messageID, strconv.FormatInt(at.Unix(), 10))
	_, _ = mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)), nil
}

// MaxURL bounds the address of a channel.
const MaxURL = 1000

// ParseURL reads a channel's address: https, or plain http to this machine where an
// installation is for development.
func ParseURL(text string, development bool) (*url.URL, error) {
	bad := fault.Invalid("url", "channel_url", "The address is like https://hooks.example.com/path, without user, password or fragment.")
	u, err := url.Parse(text)
	if err != nil || len(text) > MaxURL || u.Hostname() == "" || u.User != nil || u.Fragment != "" || u.Opaque != "" {
		return nil, bad
	}
	ip := net.ParseIP(u.Hostname())
	here := u.Hostname() == "localhost" || (ip != nil && ip.IsLoopback())
	if u.Scheme != "https" && (u.Scheme != "http" || !development || !here) {
		return nil, bad
	}
	return u, nil
}
