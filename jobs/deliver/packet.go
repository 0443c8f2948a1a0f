package deliver

import (
	"bytes"
	"context"
	"fmt"
	htmltemplate "html/template"
	texttemplate "text/template"
	"time"

	gomail "github.com/wneessen/go-mail"

	"tollbook/app"
	"tollbook/app/export/packet"
	"tollbook/app/notice"
)

// packetHalf bounds each half of a dialogue that carries a packet: both fit into an attempt.
const packetHalf = 20 * time.Second

// SendPacket makes one attempt to deliver a packet.
func (o *Office) SendPacket(ctx context.Context, d *app.PacketDispatch) notice.Outcome {
	switch {
	case d.Post != nil:
		return o.hooks.Send(ctx, d.Delivery.String(), d.Post)
	case d.Object != nil:
		return o.hooks.put(ctx, d.Object)
	case o.smtp == nil:
		return notice.Outcome{Answer: "No mail server is configured here."}
	}
	long := *o.smtp
	long.Within = max(long.Within, min(2*long.Within, packetHalf)) // an attachment takes longer than a notice
	message, err := long.packet(d.Delivery.String(), d.Mail)
	if err != nil {
		return notice.Outcome{Permanent: true, Answer: "The message could not be made: " + plain(err)}
	}
	return long.dialogue(ctx, message)
}

// packetSheet is a packet's letter with its sentences, for the forms.
type packetSheet struct {
	*app.PacketLetter

	Subject string
	Lead    string
	// Corrected says what a corrected packet takes the place of; empty: it is none.
	Corrected string
	Action    string
	Before    int // the revision that changes are told against
	Foot      string
}

// wordPacket says what came, of which company, month, revision and state.
func wordPacket(l *app.PacketLetter) *packetSheet {
	of := ""
	if l.Scope != "" {
		of = " of " + line(l.Scope)
	}
	month := l.Month.Start().Format("January 2006")
	s := &packetSheet{PacketLetter: l, Before: l.Since(), Action: "Open the packet (it asks you to sign in)"}
	s.Subject = fmt.Sprintf("[%s] Close packet%s %s, revision %d, %s", line(l.Company), of, l.Month, l.Revision, packet.Mark(l.State, l.Corrects != nil))
	s.Lead = fmt.Sprintf("The close packet%s of %s for %s, revision %d: %s.", of, line(l.Company), month, l.Revision, stateWords(l.State))
	if l.Corrects != nil {
		s.Corrected = fmt.Sprintf("CORRECTED: it takes the place of revision %d, which you may hold. The manifest of that one has the SHA-256 %s.", l.Corrects.Revision, l.Corrects.Manifest)
	}
	s.Foot = fmt.Sprintf("The link leads to a page and works until %s. Whether what you hold is what was sealed, anybody can check offline: tollbook verify PACKET.zip. "+
		"You are on the company’s list of recipients; whoever keeps it can take you off.", instant(l.Expires))
	return s
}

func stateWords(s packet.State) string {
	if s == packet.Final {
		return "FINAL, the month is closed"
	}
	return "DRAFT, figures may still change"
}

func (s *SMTP) packet(id string, l *app.PacketLetter) (*gomail.Msg, error) {
	words := wordPacket(l)
	text, err := texttemplate.ParseFS(forms, "mail/packet.txt")
	if err != nil {
		return nil, fmt.Errorf("read form: %w", err)
	}
	html, err := htmltemplate.ParseFS(forms, "mail/packet.html")
	if err != nil {
		return nil, fmt.Errorf("read form: %w", err)
	}
	var plainText, page bytes.Buffer
	if err := text.Execute(&plainText, words); err != nil {
		return nil, fmt.Errorf("fill in form: %w", err)
	}
	if err := html.Execute(&page, words); err != nil {
		return nil, fmt.Errorf("fill in form: %w", err)
	}
	m, err := s.envelope(id, l.ToName, l.To, worded{subject: words.Subject, text: plainText.String(), html: page.String()})
	if err != nil {
		return nil, err
	}
	for _, f := range l.Attached {
		if err := m.AttachReader(f.Name, bytes.NewReader(f.Content)); err != nil {
			return nil, fmt.Errorf("attach %s: %w", f.Name, err)
		}
	}
	return m, nil
}
