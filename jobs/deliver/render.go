package deliver

import (
	"bytes"
	"embed"
	"fmt"
	htmltemplate "html/template"
	"strconv"
	"strings"
	texttemplate "text/template"
	"time"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/notice"
)

//go:embed mail/notice.html mail/notice.txt mail/packet.html mail/packet.txt
var forms embed.FS

// worded is a letter as it is read.
type worded struct{ subject, text, html string }

// sheet is a letter with its sentences, for the forms.
type sheet struct {
	*app.Letter

	Subject string
	Lead    string // what happened, or what is asked
	Action  string // what the link is called
	Facts   []fact
	Quote   string
	QuoteOf string
	Foot    string
}

type fact struct{ Name, Value string }

func render(l *app.Letter) (worded, error) {
	s := wordLetter(l)
	text, err := texttemplate.ParseFS(forms, "mail/notice.txt")
	if err != nil {
		return worded{}, fmt.Errorf("read form: %w", err)
	}
	html, err := htmltemplate.ParseFS(forms, "mail/notice.html")
	if err != nil {
		return worded{}, fmt.Errorf("read form: %w", err)
	}
	var plainText, page bytes.Buffer
	if err := text.Execute(&plainText, s); err != nil {
		return worded{}, fmt.Errorf("fill in form: %w", err)
	}
	if err := html.Execute(&page, s); err != nil {
		return worded{}, fmt.Errorf("fill in form: %w", err)
	}
	return worded{subject: s.Subject, text: plainText.String(), html: page.String()}, nil
}

func wordLetter(l *app.Letter) *sheet {
	s := &sheet{Letter: l, Action: "Open change " + number(l)}
	by := line(l.By)
	if by == "" {
		by = "Tollbook"
	}
	about := fmt.Sprintf("change %s (%s)", number(l), line(l.Kind))
	switch l.Purpose {
	case notice.Asked:
		s.Lead = "You are asked to decide about " + about + "."
		s.Action = "Look at change " + number(l) + " and decide there"
	case notice.Reminded:
		s.Lead = "You are still asked to decide about " + about + "."
		s.Action = "Look at change " + number(l) + " and decide there"
	case notice.Questioned:
		s.Lead, s.Quote, s.QuoteOf = by+" asked about "+about+".", l.Said, by+" asks"
	case notice.Commented:
		s.Lead, s.Quote, s.QuoteOf = by+" commented on "+about+".", l.Said, by+" says"
	case notice.Applied:
		s.Lead, s.Quote, s.QuoteOf = upper(about)+" was approved and applied.", l.Said, by+" says"
	case notice.Rejected:
		s.Lead, s.Quote, s.QuoteOf = by+" rejected "+about+".", l.Said, by+" says"
	case notice.Withdrawn:
		s.Lead, s.Quote, s.QuoteOf = upper(about)+" was withdrawn.", l.Said, "Why"
	case notice.Expired:
		s.Lead = upper(about) + " expired: nobody decided in time. Whoever still wants it proposes it again."
	case notice.Told:
		s.Lead = "How people sign in to " + line(l.Company) + " is being changed: " + about + " was " + stateWord(l.State) + ". Every owner is told of this, whoever did it. If you do not expect it, look now."
	case notice.Delegated:
		s.Lead = line(l.Takes) + " may now decide in the name of " + line(l.Gives) + ", from " + instant(l.From) + " to " + instant(l.Upto) + ". Both are told, whoever did it."
	case notice.Undelegated:
		s.Lead = line(l.Takes) + " no longer decides in the name of " + line(l.Gives) + ". Both are told, whoever did it."
	case notice.Tested, notice.Proposed, notice.Revised, notice.StepApproved, notice.Escalated, notice.Requested, notice.Recalled, notice.Answered, notice.Fell:
		s.Lead = upper(about) + " concerns you."
	}
	if l.About != "" {
		s.address(by)
	}
	s.Subject = "[" + line(l.Company) + "] " + subjectOf(l, by)
	s.Facts = facts(l)
	s.Foot = footOf(l)
	s.Quote = marked(s.Quote)
	return s
}

// address words what somebody asks of a person, or answers.
func (s *sheet) address(by string) {
	about := line(s.About)
	switch s.Purpose {
	case notice.Requested:
		s.Lead = by + " asks you for an answer: " + about + "."
		if s.Step == "returned" {
			s.Lead = by + " sent back to you " + about + "."
		}
		s.Action = "Look at the figures and answer there"
	case notice.Recalled:
		s.Lead = by + " reminds you: " + about + " waits for your answer."
		s.Action = "Look at the figures and answer there"
	case notice.Fell:
		s.Lead, s.Action = "Signatures of "+about+" count no more: a figure they rest on is another one. Look at it and sign again.", "Look at the checklist"
		if l := s.Letter; l.Reason != "" {
			s.Lead = "Signatures of " + about + " count no more: " + by + " took theirs back."
		}
	default:
		s.Lead, s.Action = by+" answered: "+about+" was "+answerWord(s.Step)+".", "Look at it"
	}
}

// answerWord is a step of an answer as a sentence says it.
func answerWord(step string) string {
	if step == "kept" {
		return "decided: the charges stay"
	}
	if step == "proposed" {
		return "taken up: the change that moves the charges was proposed"
	}
	return line(step)
}

// marked is what somebody wrote, each line marked as theirs.
func marked(text string) string {
	if text == "" {
		return ""
	}
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = "> " + line(lines[i])
	}
	return strings.Join(lines, "\n")
}

func subjectOf(l *app.Letter, by string) string {
	about := fmt.Sprintf("change %s, %s", number(l), line(l.Kind))
	switch l.Purpose {
	case notice.Asked:
		return "Decide about " + about
	case notice.Reminded:
		return "Reminder: decide about " + about
	case notice.Questioned:
		return by + " asks about " + about
	case notice.Commented:
		return by + " commented on " + about
	case notice.Applied:
		return "Applied: " + about
	case notice.Rejected:
		return "Rejected: " + about
	case notice.Withdrawn:
		return "Withdrawn: " + about
	case notice.Expired:
		return "Expired: " + about
	case notice.Told:
		return "Sign-in is changing: " + about
	case notice.Delegated:
		return line(l.Takes) + " may decide for " + line(l.Gives)
	case notice.Undelegated:
		return line(l.Takes) + " no longer decides for " + line(l.Gives)
	case notice.Requested:
		return by + " asks you about " + line(l.About)
	case notice.Recalled:
		return "Reminder: " + line(l.About)
	case notice.Fell:
		return "Signatures of " + line(l.About) + " fell"
	case notice.Answered:
		return by + " answered about " + line(l.About)
	case notice.Tested, notice.Proposed, notice.Revised, notice.StepApproved, notice.Escalated:
	}
	return upper(about)
}

func facts(l *app.Letter) []fact {
	if l.Purpose == notice.Fell {
		list := []fact{{"Steps", line(strings.Join(l.Steps, ", "))}}
		for _, c := range l.Changed {
			list = append(list, fact{"Changed", line(c)})
		}
		if l.Reason != "" {
			list = append(list, fact{"In their words", line(strings.Join(strings.Fields(l.Reason), " "))})
		}
		return list
	}
	if l.About != "" {
		list := []fact{{"About", line(l.About)}, {"From", line(l.Made)}}
		if l.Amount != "" {
			list = append(list, fact{"Amount", "$" + l.Amount + " of charges of " + line(l.Month)})
		}
		return append(list, fact{"In their words", line(strings.Join(strings.Fields(l.Reason), " "))})
	}
	list := []fact{{"Change", number(l) + ", " + line(l.Kind)}, {"Proposed by", line(l.Made)}}
	if l.Amount != "" {
		list = append(list, fact{"Moves", "$" + l.Amount + " of charges, as replayed on " + line(l.Month)})
	}
	list = append(list, fact{"Effective", instant(l.Effective)})
	if l.Step != "" {
		list = append(list, fact{"Step", line(l.Step)})
	}
	if len(l.For) > 0 {
		list = append(list, fact{"You stand in for", line(strings.Join(l.For, ", "))})
	}
	if !l.Expires.IsZero() {
		list = append(list, fact{"Expires", instant(l.Expires)})
	}
	return append(list, fact{"Reason", line(strings.Join(strings.Fields(l.Reason), " "))})
}

func footOf(l *app.Letter) string {
	mute := "You get this because it cannot be muted: it is about who may sign in or decide."
	if l.Purpose.Topic() != "" {
		mute = "Which mail you get is your choice, on the page of your account."
	}
	return "The link leads to the page and decides nothing by itself; you sign in there. " + mute
}

func number(l *app.Letter) string { return strconv.FormatInt(l.Number, 10) }

func upper(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

func instant(at time.Time) string { return at.UTC().Format("2 January 2006, 15:04 UTC") }

func stateWord(s approval.State) string {
	if s == approval.StateApplied {
		return "approved and applied"
	}
	return string(s)
}
