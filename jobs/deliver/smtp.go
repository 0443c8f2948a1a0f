package deliver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/notice"
	"tollbook/app/secret"
)

// The ways to come to an encrypted dialogue.
const (
	StartTLSRequired = "required"
	StartTLSOptional = "optional"
	StartTLSNone     = "none"
)

// SMTP is how mail leaves.
type SMTP struct {
	Host     string
	Port     int
	TLS      bool   // from the first byte
	StartTLS string // else
	User     string
	Password secret.Text
	From     mail.Address
	Roots    *x509.CertPool // nil: the system's
	// Within bounds each of the two halves of a dialogue: up to the greeting and the password,
	// and from the envelope to the end of the message.
	Within time.Duration
}

var errSMTP = fault.New(fault.KindInvalid, "smtp_url",
	"should be like smtps://user:password@mail.example.com:465?from=tollbook@example.com, or smtp://… with starttls=required (unless set), optional or none; a password needs smtps or starttls=required")

// ParseSMTP reads a mail server's address. It never says what was in it: there is a
// password.
func ParseSMTP(text string) (*SMTP, error) {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "smtp" && u.Scheme != "smtps") || u.Hostname() == "" || u.Opaque != "" || u.Fragment != "" || (u.Path != "" && u.Path != "/") {
		return nil, errSMTP
	}
	s := &SMTP{Host: u.Hostname(), Port: 587, TLS: u.Scheme == "smtps", StartTLS: StartTLSRequired, Within: mailWithin}
	if s.TLS {
		s.Port, s.StartTLS = 465, ""
	}
	if port := u.Port(); port != "" {
		if s.Port, err = strconv.Atoi(port); err != nil || s.Port < 1 || s.Port > 65535 {
			return nil, errSMTP
		}
	}
	if !s.options(u.RawQuery) || !s.credentials(u.User) {
		return nil, errSMTP
	}
	return s, nil
}

// options reads from and starttls, and knows no other.
func (s *SMTP) options(raw string) bool {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return false
	}
	for name, values := range query {
		if len(values) != 1 || (name != "from" && name != "starttls") {
			return false
		}
	}
	if query.Has("starttls") {
		given := query.Get("starttls")
		if s.TLS || !slices.Contains([]string{StartTLSRequired, StartTLSOptional, StartTLSNone}, given) {
			return false
		}
		s.StartTLS = given
	}
	from, err := mail.ParseAddress(query.Get("from"))
	if err != nil || !printable(from.Name) || !printable(from.Address) {
		return false
	}
	if s.From = *from; s.From.Name == "" {
		s.From.Name = "Tollbook"
	}
	return true
}

// credentials reads user and password, which leave in an encrypted dialogue or not at all.
func (s *SMTP) credentials(user *url.Userinfo) bool {
	if user == nil {
		return true
	}
	password, given := user.Password()
	s.User, s.Password = user.Username(), secret.NewText(password)
	return given && s.User != "" && password != "" && (s.TLS || s.StartTLS == StartTLSRequired)
}

// mailWithin is what SMTP.Within is unless something else is said.
const mailWithin = 15 * time.Second

func (s *SMTP) client() (*gomail.Client, error) {
	options := []gomail.Option{
		gomail.WithPort(s.Port), gomail.WithTimeout(s.Within), gomail.WithHELO(helo(s.From.Address)),
		gomail.WithTLSConfig(&tls.Config{ServerName: s.Host, RootCAs: s.Roots, MinVersion: tls.VersionTLS12}),
	}
	switch {
	case s.TLS:
		options = append(options, gomail.WithSSL())
	case s.StartTLS == StartTLSNone:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	case s.StartTLS == StartTLSOptional:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSOpportunistic))
	default:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if s.User != "" {
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(s.User), gomail.WithPassword(s.Password.Reveal()))
	}
	client, err := gomail.NewClient(s.Host, options...)
	if err != nil {
		return nil, fmt.Errorf("make a mail client: %w", err)
	}
	return client, nil
}

// helo is what the client calls itself: the sender's domain, since a machine's own name is
// nobody's business.
func helo(from string) string {
	if _, domain, ok := strings.Cut(from, "@"); ok && domain != "" {
		return domain
	}
	return "localhost"
}

// Send delivers one letter and says how that ended. Whether a server took it that fell
// silent after the last byte is not known; it counts as not taken.
func (s *SMTP) Send(ctx context.Context, id string, l *app.Letter) notice.Outcome {
	message, err := s.message(id, l)
	if err != nil {
		return notice.Outcome{Permanent: true, Answer: "The message could not be made: " + plain(err)}
	}
	return s.dialogue(ctx, message)
}

// dialogue takes a message to the server.
func (s *SMTP) dialogue(ctx context.Context, message *gomail.Msg) notice.Outcome {
	client, err := s.client()
	if err != nil {
		return notice.Outcome{Answer: plain(err)}
	}
	if err := client.DialWithContext(ctx); err != nil {
		return notice.Outcome{Answer: "No dialogue with the mail server: " + plain(err), Permanent: false}
	}
	err = client.Send(message)
	accepted := message.IsDelivered() // what goes wrong after that is no matter of this message
	_ = client.Close()
	if accepted {
		return notice.Outcome{Accepted: true, Answer: message.ServerResponse()}
	}
	if refusal, ok := errors.AsType[*gomail.SendError](err); ok {
		return notice.Outcome{Permanent: refusal.ErrorCode() >= 500 && refusal.ErrorCode() < 600, Answer: plain(err)}
	}
	return notice.Outcome{Answer: plain(err)}
}

func (s *SMTP) message(id string, l *app.Letter) (*gomail.Msg, error) {
	words, err := render(l)
	if err != nil {
		return nil, err
	}
	return s.envelope(id, l.ToName, l.To, words)
}

// envelope is a message with its words; it has the same id at every attempt.
func (s *SMTP) envelope(id, name, to string, words worded) (*gomail.Msg, error) {
	m := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := m.FromFormat(s.From.Name, s.From.Address); err != nil {
		return nil, fmt.Errorf("sender: %w", err)
	}
	if err := m.AddToFormat(line(name), to); err != nil {
		return nil, fmt.Errorf("recipient: %w", err)
	}
	m.Subject(words.subject)
	m.SetMessageIDWithValue(id + "@" + helo(s.From.Address))
	m.SetDate()
	m.SetGenHeader("Auto-Submitted", "auto-generated")
	m.SetGenHeader("X-Auto-Response-Suppress", "All")
	m.SetGenHeader("X-Tollbook-Delivery", id)
	m.SetBodyString(gomail.TypeTextPlain, words.text)
	m.AddAlternativeString(gomail.TypeTextHTML, words.html)
	return m, nil
}

// plain is an error without the addresses of the installation's network in it.
func plain(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return op.Op + ": " + op.Err.Error()
	}
	return err.Error()
}

func printable(text string) bool { return line(text) == text }

// line is a text without anything that could end a line.
func line(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || (r >= 0x7f && r < 0xa0) || r == '\u2028' || r == '\u2029' || r == '\ufffd' {
			return -1
		}
		return r
	}, text)
}
