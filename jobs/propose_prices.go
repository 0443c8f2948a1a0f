package jobs

import (
	"context"
	"errors"

	"github.com/riverqueue/river"

	"tollbook/app"
	"tollbook/app/id"
	"tollbook/app/job"
)

type proposePrices struct {
	river.WorkerDefaults[job.ProposePrices]
	prices *app.Prices
}

var errOtherList = errors.New("this process ships another list of prices")

// Work proposes the vendor's list to a tenant that does not have it.
func (w *proposePrices) Work(ctx context.Context, j *river.Job[job.ProposePrices]) error {
	tenant, err := id.ParseTenant(j.Args.Tenant)
	if err != nil {
		return answer(err)
	}
	if j.Args.Digest != w.prices.VendorDigest() {
		return errOtherList
	}
	_, err = w.prices.ProposeVendor(ctx, tenant)
	return answer(err)
}
