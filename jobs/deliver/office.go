package deliver

import (
	"context"

	"tollbook/app"
	"tollbook/app/notice"
)

// Office delivers whatever is due.
type Office struct {
	smtp  *SMTP // nil: no mail leaves
	hooks *Hooks
}

// NewOffice makes it; without a mail server no mail leaves.
func NewOffice(smtp *SMTP, hooks *Hooks) *Office { return &Office{smtp: smtp, hooks: hooks} }

// Send makes one attempt.
func (o *Office) Send(ctx context.Context, d *app.Dispatch) notice.Outcome {
	switch {
	case d.Post != nil:
		return o.hooks.Send(ctx, d.Delivery.String(), d.Post)
	case o.smtp == nil:
		return notice.Outcome{Answer: "No mail server is configured here."}
	}
	return o.smtp.Send(ctx, d.Delivery.String(), d.Mail)
}
