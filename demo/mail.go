package demo

import (
	"bytes"
	"context"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// MailPath is where a stranger reads what was caught.
const MailPath = "/mail"

const (
	maxCaught      = 200
	maxCaughtBytes = 24 << 20
	// maxAttached bounds what all attachments take of memory together: the oldest go first.
	maxAttached = 64 << 20
	mailWithin  = 10 * time.Second
)

//go:embed mailpage
var mailForms embed.FS

// Postbox is a mail server that keeps what it is sent, in memory, and shows it. It takes
// mail from this machine alone, and passes none on.
type Postbox struct {
	server  *smtp.Server
	address string
	form    *template.Template
	style   []byte

	mu     sync.Mutex
	caught []Caught // oldest first
	next   int
}

// Caught is one mail.
type Caught struct {
	Number              int
	At                  time.Time
	From, To, Subject   string
	Text                string
	HTML                string
	MessageID, Delivery string
	Attached            []Attached
}

// Attached is a file that came with a mail.
type Attached struct {
	Name    string
	Content []byte // empty once newer ones took its room
}

// CatchMail starts a postbox on a port of its own.
func CatchMail() (*Postbox, error) {
	form, err := template.ParseFS(mailForms, "mailpage/mail.html")
	if err != nil {
		return nil, fmt.Errorf("read the page of mail: %w", err)
	}
	style, err := mailForms.ReadFile("mailpage/mail.css")
	if err != nil {
		return nil, fmt.Errorf("read the page of mail: %w", err)
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for mail: %w", err)
	}
	p := &Postbox{address: l.Addr().String(), form: form, style: style}
	p.server = smtp.NewServer(p)
	p.server.Domain, p.server.MaxMessageBytes, p.server.MaxRecipients = "demo.invalid", maxCaughtBytes, 10
	p.server.ReadTimeout, p.server.WriteTimeout = mailWithin, mailWithin
	p.server.ErrorLog = silence{}
	go func() { _ = p.server.Serve(l) }()
	return p, nil
}

type silence struct{}

// Printf implements smtp.Logger.
func (silence) Printf(string, ...any) {}

// Println implements smtp.Logger.
func (silence) Println(...any) {}

// URL is where the product sends its mail to.
func (p *Postbox) URL() string {
	return "smtp://" + p.address + "?starttls=none&from=Tollbook%20%3Ctollbook@demo.invalid%3E"
}

// Close ends the server.
func (p *Postbox) Close() error {
	if err := p.server.Close(); err != nil && !errors.Is(err, smtp.ErrServerClosed) {
		return fmt.Errorf("end the mail server: %w", err)
	}
	return nil
}

// NewSession implements smtp.Backend.
func (p *Postbox) NewSession(*smtp.Conn) (smtp.Session, error) { return &putting{box: p}, nil }

type putting struct{ box *Postbox }

// Mail implements smtp.Session.
func (*putting) Mail(string, *smtp.MailOptions) error { return nil }

// Rcpt implements smtp.Session.
func (*putting) Rcpt(string, *smtp.RcptOptions) error { return nil }

// Reset implements smtp.Session.
func (*putting) Reset() {}

// Logout implements smtp.Session.
func (*putting) Logout() error { return nil }

// Data implements smtp.Session.
func (s *putting) Data(r io.Reader) error {
	content, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("read mail: %w", err)
	}
	one, err := open(content)
	if err != nil {
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "this is no message"}
	}
	s.box.put(one)
	return nil
}

func (p *Postbox) put(one Caught) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next++
	one.Number, one.At = p.next, time.Now().UTC()
	if p.caught = append(p.caught, one); len(p.caught) > maxCaught {
		p.caught = p.caught[1:]
	}
	p.forget()
}

// forget lets the oldest attachments go where all of them take too much.
func (p *Postbox) forget() {
	room := maxAttached
	for i := range slices.Backward(p.caught) {
		for k := range p.caught[i].Attached {
			a := &p.caught[i].Attached[k]
			if room -= len(a.Content); room < 0 {
				a.Content = nil
			}
		}
	}
}

// Mails lists what was caught, newest first.
func (p *Postbox) Mails() []Caught {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]Caught, 0, len(p.caught))
	for _, one := range slices.Backward(p.caught) {
		list = append(list, one)
	}
	return list
}

// open reads a message as the product makes them: text and page side by side.
func open(content []byte) (Caught, error) {
	m, err := mail.ReadMessage(bytes.NewReader(content))
	if err != nil {
		return Caught{}, fmt.Errorf("read mail: %w", err)
	}
	decode := func(name string) string {
		text, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get(name))
		if err != nil {
			return m.Header.Get(name)
		}
		return text
	}
	one := Caught{From: decode("From"), To: decode("To"), Subject: decode("Subject"), MessageID: m.Header.Get("Message-Id"), Delivery: m.Header.Get("X-Tollbook-Delivery")}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || !strings.HasPrefix(kind, "multipart/") {
		text, err := io.ReadAll(m.Body)
		one.Text = string(text)
		return one, err //nolint:wrapcheck // of a reader in memory
	}
	return one, one.parts(m.Body, params["boundary"])
}

// parts reads text, page and attachments; those of a part that has parts too.
func (c *Caught) parts(from io.Reader, boundary string) error {
	reader := multipart.NewReader(from, boundary)
	for {
		part, err := reader.NextRawPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read mail: %w", err)
		}
		if kind, params, err := mime.ParseMediaType(part.Header.Get("Content-Type")); err == nil && strings.HasPrefix(kind, "multipart/") {
			if err := c.parts(part, params["boundary"]); err != nil {
				return err
			}
			continue
		}
		body := io.Reader(quotedprintable.NewReader(part))
		if strings.EqualFold(part.Header.Get("Content-Transfer-Encoding"), "base64") {
			body = base64.NewDecoder(base64.StdEncoding, part)
		}
		content, err := io.ReadAll(body)
		if err != nil {
			return fmt.Errorf("read mail: %w", err)
		}
		switch {
		case part.FileName() != "":
			c.Attached = append(c.Attached, Attached{Name: part.FileName(), Content: content})
		case strings.HasPrefix(part.Header.Get("Content-Type"), "text/html"):
			c.HTML = string(content)
		default:
			c.Text = string(content)
		}
	}
}

// ServeHTTP shows the list, one mail, its own page in a frame that may do nothing, and the
// style of these pages.
func (p *Postbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("Cache-Control", "no-store")
	head.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		head.Set("Allow", "GET, HEAD")
		http.Error(w, "only to be read", http.StatusMethodNotAllowed)
		return
	}
	path := strings.Trim(strings.TrimPrefix(r.URL.Path, MailPath), "/")
	if path == "mail.css" {
		head.Set("Content-Type", "text/css; charset=utf-8")
		_, _ = w.Write(p.style)
		return
	}
	list := p.Mails()
	text, page := strings.CutSuffix(path, "/page")
	text, file, attached := strings.Cut(text, "/attached/")
	view := struct {
		Mails []Caught
		One   *Caught
		Kept  int
	}{Mails: list, Kept: maxCaught}
	if text != "" {
		number, err := strconv.Atoi(text)
		for i := range list {
			if err == nil && list[i].Number == number {
				view.One = &list[i]
			}
		}
		if view.One == nil {
			http.Error(w, "there is no such mail", http.StatusNotFound)
			return
		}
	}
	if attached {
		view.One.send(w, file)
		return
	}
	head.Set("Content-Type", "text/html; charset=utf-8")
	if page {
		// A mail styles itself where it stands, and may do nothing else; its link opens outside.
		head.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'; sandbox allow-popups allow-popups-to-escape-sandbox")
		_, _ = io.WriteString(w, strings.Replace(view.One.HTML, "<head>", `<head><base target="_blank">`, 1))
		return
	}
	if err := p.form.Execute(w, view); err != nil {
		http.Error(w, "the page of mail cannot be shown", http.StatusInternalServerError)
	}
}

// send sends an attachment as a file that is not opened in place.
func (c *Caught) send(w http.ResponseWriter, name string) {
	for i := range c.Attached {
		if a := &c.Attached[i]; a.Name == name && len(a.Content) > 0 {
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", a.Name))
			_, _ = w.Write(a.Content)
			return
		}
	}
	http.Error(w, "there is no such attachment", http.StatusNotFound)
}
