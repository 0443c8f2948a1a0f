package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// options are what a run is told; each has a bound.
type options struct {
	requests    int
	rounds      int
	connections int
	streams     []int
	rate        int // 0: steadyRate, or what the machine can
	trial       time.Duration
	tenants     int
	rows        int
	projects    int
	views       int
	records     int
	json        string
	only        []string
	profile     string
	against     string
	pin         bool
	within      time.Duration
}

const (
	maxRequests    = 1_000_000
	maxRounds      = 99
	maxConnections = 1_000
	maxStreams     = 5_000 // of the shares of a descriptor limit of 20,000
	maxRate        = 20_000
	maxTenants     = 5_000
	maxRows        = 100_000_000
	maxProjects    = 50
	maxViews       = 10_000
	maxRecords     = 20_000_000
)

func readOptions(args []string) (options, error) {
	var o options
	var only, streams string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.IntVar(&o.requests, "requests", 6000, "requests per target, workload and round (a tenth of it for paced streams)")
	f.IntVar(&o.rounds, "rounds", 3, "rounds; medians are shown")
	f.IntVar(&o.connections, "connections", 64, "connections of the closed loop")
	f.StringVar(&streams, "streams", "1000,5000", "comma-separated counts of streams held open when memory is measured")
	f.IntVar(&o.rate, "rate", 0, fmt.Sprintf("requests per second when latency is measured; 0: %d, or half of it as often as the machine needs", usualRate))
	f.DurationVar(&o.trial, "trial", 2*time.Second, "how long the search for the highest rate tries one")
	f.IntVar(&o.tenants, "tenants", 1000, "companies in the house when the cost of many is measured")
	f.IntVar(&o.rows, "rows", 5_000_000, "requests in the month that is viewed")
	f.IntVar(&o.projects, "projects", 0, "projects of each cost center in that month")
	f.IntVar(&o.records, "records", 1_000_000, "records in the audit log that is verified")
	f.IntVar(&o.views, "views", 50, "how often each page and report of that month is read in a round")
	f.StringVar(&o.json, "json", "", "write every figure, round by round, to this file")
	f.StringVar(&only, "only", "", "comma-separated measures to take: "+strings.Join(measureNames(), ", ")+" (the last three only when asked for)")
	f.StringVar(&o.profile, "profile", "", "write a CPU profile of the gateway's last closed loop to this file")
	f.StringVar(&o.against, "against", "", "another build of this program, whose gateway takes turns with this one's")
	f.BoolVar(&o.pin, "pin", true, "proxy and database on the first core, load and provider on the others (needs taskset and two cores)")
	f.DurationVar(&o.within, "within", 40*time.Minute, "the run is given up after this long")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if only != "" {
		o.only = strings.Split(only, ",")
	}
	for text := range strings.SplitSeq(streams, ",") {
		count, err := strconv.Atoi(text)
		if err != nil {
			return o, fmt.Errorf("-streams: %q is not a number", text)
		}
		o.streams = append(o.streams, count)
	}
	for _, name := range o.only {
		if !slices.Contains(measureNames(), name) {
			return o, fmt.Errorf("-only: there is no measure %q; there are %s", name, strings.Join(measureNames(), ", "))
		}
	}
	return o, o.bounded(f.NArg())
}

func (o *options) bounded(left int) error {
	type bound struct {
		name            string
		value, from, to int
	}
	bounds := []bound{
		{"requests", o.requests, 1, maxRequests},
		{"rounds", o.rounds, 1, maxRounds},
		{"connections", o.connections, 1, maxConnections},
		{"rate", o.rate, 0, maxRate},
		{"rows", o.rows, 1, maxRows},
		{"projects", o.projects, 0, maxProjects},
		{"views", o.views, 1, maxViews},
		{"records", o.records, 1, maxRecords},
		{"tenants", o.tenants, 2, maxTenants},
		{"trial in milliseconds", int(o.trial.Milliseconds()), 20, 60_000},
	}
	for _, count := range o.streams {
		bounds = append(bounds, bound{"streams", count, 1, maxStreams})
	}
	for _, b := range bounds {
		if b.value < b.from || b.value > b.to {
			return fmt.Errorf("-%s must be between %d and %d", b.name, b.from, b.to)
		}
	}
	if left > 0 {
		return errors.New("bench takes flags only")
	}
	return nil
}

func main() {
	if role, ok := childRole(os.Args); ok {
		// The terminal's Ctrl-C reaches the whole group; a child waits for its parent's word.
		signal.Ignore(os.Interrupt, syscall.SIGTERM)
		if err := beChild(role, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintf(os.Stderr, "bench %s: %v\n", role, err)
			os.Exit(1)
		}
		return
	}
	o, err := readOptions(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = run(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(o options) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, o.within)
	defer cancel()
	s, err := openStage(ctx, o, os.Stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	figures, err := s.measure(ctx)
	if err != nil {
		return err
	}
	if o.json != "" {
		if err := s.writeJSON(o.json, figures); err != nil {
			return err
		}
	}
	return report(os.Stdout, s, figures)
}
