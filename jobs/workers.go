package jobs

import (
	"github.com/riverqueue/river"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/jobs/anthropicadmin"
	"tollbook/jobs/deliver"
)

// Workers registers every worker there is.
func Workers(audit *app.Audit, log *app.Log, prices *app.Prices, approvals *app.Approvals, notices *app.Notices, adjustments *app.Adjustments, books *app.Books, closing *app.Closing, retentions *app.Retentions, packets *app.Packets,
	office *deliver.Office, reports *app.ProviderReports, client *anthropicadmin.Client, reconciliations *app.Reconciliations,
) *river.Workers {
	workers := river.NewWorkers()
	river.AddWorker(workers, &sequenceAudit{audit: audit})
	river.AddWorker(workers, &tick{audit: audit, prices: prices})
	river.AddWorker(workers, &proveSums{audit: audit, books: books})
	river.AddWorker(workers, &purgeOffboarded{retentions: retentions})
	river.AddWorker(workers, &postAccruals{books: books})
	river.AddWorker(workers, &reconcileDay{reconciliations: reconciliations})
	river.AddWorker(workers, &reconcileDays{reconciliations: reconciliations})
	river.AddWorker(workers, &tendCloses{closing: closing})
	river.AddWorker(workers, &signLog{log: log})
	river.AddWorker(workers, &witnessLog{log: log})
	river.AddWorker(workers, &verifyLog{log: log})
	river.AddWorker(workers, &proposePrices{prices: prices})
	river.AddWorker(workers, &tendChanges{approvals: approvals})
	river.AddWorker(workers, &moveCharges{adjustments: adjustments})
	river.AddWorker(workers, &settlePrices{adjustments: adjustments})
	river.AddWorker(workers, &notifyChange{notices: notices})
	river.AddWorker(workers, &deliverNotice{notices: notices, office: office})
	river.AddWorker(workers, &buildPacket{packets: packets})
	river.AddWorker(workers, &schedulePackets{packets: packets})
	river.AddWorker(workers, &deliverPacket{packets: packets, office: office})
	river.AddWorker(workers, &pullReports{reports: reports, client: client})
	return workers
}

// answer maps a use case's error to River's: what is wrong with the job itself is
// cancelled, what may pass is retried.
func answer(err error) error {
	if err == nil {
		return nil
	}
	switch fault.KindOf(err) {
	case fault.KindInvalid, fault.KindForbidden, fault.KindNotFound:
		return river.JobCancel(err)
	case fault.KindUnauthenticated, fault.KindConflict, fault.KindLimited, fault.KindUnavailable, fault.KindInternal:
	}
	return err
}
