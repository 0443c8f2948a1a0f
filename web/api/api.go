package api

import (
	"compress/gzip"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"tollbook/app"
	"tollbook/app/export"
	"tollbook/app/fault"
	"tollbook/app/secret"
)

// Prefix is where the API lives.
const Prefix = "/api/v1"

// Areas are the use cases the API offers.
type Areas struct {
	Tenants   *app.Tenants
	Members   *app.Members
	Nodes     *app.Nodes
	Keys      *app.Keys
	Reports   *app.Reports
	Approvals *app.Approvals
	Rules     *app.Rules
	Books     *app.Books
	Closing   *app.Closing
	Exports   *app.Exports
	Invoices  *app.Invoices

	Reconciliations *app.Reconciliations
	Commentaries    *app.Commentaries
	Disputes        *app.Disputes
}

// Config is what the API is told.
type Config struct {
	PublicURL *url.URL
	Log       *slog.Logger
	Now       func() time.Time
	Version   string
}

// API serves programs.
type API struct {
	cfg       Config
	areas     Areas
	endpoints []Endpoint
	document  []byte
}

// Endpoint is one method and path, and everything that is known about it: the same
// row routes it, documents it and tells who may.
type Endpoint struct {
	Method, Path   string // below Prefix, in echo's form: /keys/:id/revoke
	Object, Action string // what the actor's role must allow; empty for public
	Summary        string
	Status         int
	Once           bool // takes an Idempotency-Key
	query          reflect.Type
	body           reflect.Type
	answer         reflect.Type
	file           bool // answers with a file, not with JSON
	serve          func(*call) error
}

// call is one authenticated request.
type call struct {
	echo.Context
	api *API
	who app.Actor
	// chosen is what the query left to its default, controls the totals of what is
	// answered: both for the manifest.
	chosen   map[string]string
	controls []export.Pair
}

// New makes the API and its document.
func New(cfg Config, areas Areas) (*API, error) {
	a := &API{cfg: cfg, areas: areas}
	a.endpoints = a.table()
	document, err := a.openAPI()
	a.document = document
	return a, err
}

// table is every endpoint there is.
func (a *API) table() []Endpoint {
	return []Endpoint{
		get("/nodes", "node", "read", "The hierarchy as of an instant, parents before children.", a.listNodes),
		get("/keys", "key", "read", "Virtual keys, newest first.", a.listKeys),
		post("/keys", "key", "propose", http.StatusCreated, "Make a virtual key. Its secret is in this answer only.", a.createKey),
		post("/keys/:id/rotate", "key", "propose", http.StatusOK, "Give a virtual key another secret, beside the present one until that ends. It is in this answer only.", a.rotateKey),
		post("/keys/:id/revoke", "key", "propose", http.StatusOK, "End a virtual key. Gateways refuse it within a second.", a.revokeKey),
		get("/usage", "usage", "read", "Requests, newest first. Rows appear within two seconds of a response's end.", a.listUsage),
		get("/chargeback", "chargeback", "read", "A month by node, developer, model, key or project.", a.chargeback),
		get("/journal", "journal", "read", "Entries of the books, the newest number first.", a.listJournal),
		get("/journal/trial-balance", "journal", "read", "Accounts by entity in a month of the books, with their control totals.", a.trialBalance),
		get("/journal/:id", "journal", "read", "One entry with its lines.", a.showEntry),
		get("/periods/:period", "export", "read", "A month of the books: its state, control totals, and how it stands with each system it is exported to.", a.showPeriod),
		download("/periods/:period/exports/:system", "export", "read", "The files of a month for a system: one file, or an archive of all with their manifests. What is not exported yet is, if the token may.", a.exportPeriod),
		post("/periods/:period/acknowledgments", "export", "propose", http.StatusCreated, "Keep the ids that a finance system gave to exported journals: all lines, or none.", a.acknowledge),
		post("/periods/:period/actuals", "export", "propose", http.StatusCreated, "Keep what a general ledger says of a month, to tie it to what was exported: the whole file, or nothing.", a.importActuals),
		get("/invoices", "invoice", "read", "What the provider billed, issued last first.", a.listInvoices),
		get("/invoices/:id", "invoice", "read", "One invoice: against the ledger, and by who bears it.", a.showInvoice),
		get("/reconciliations", "reconciliation", "read", "Days held against what the provider reports, with their differences.", a.listReconciliations),
		get("/variances", "reconciliation", "read", "What was above tolerance on a day, the newest number first.", a.listVariances),
		get("/commentary", "commentary", "read", "What owners say about what a month of their nodes came to, by path.", a.listCommentary),
		get("/disputes", "dispute", "read", "Charges that an owner says are another's, the newest number first.", a.listDisputes),
		get("/rules", "rule", "read", "The attribution rules as of an instant, in the order in which they are asked.", a.listRules),
		get("/changes", "change", "read", "Changes that need a decision or had one, newest first.", a.listChanges),
		get("/changes/:id", "change", "read", "One change: what it moves by node, the steps of its policy with who approved and who is asked, and what was said.", a.showChange),
		post("/changes", "change", "propose", http.StatusCreated, "Propose a change. A person decides on it in Tollbook.", a.proposeChange),
		{Method: http.MethodGet, Path: "/openapi.json", Summary: "This description.", Status: http.StatusOK},
	}
}

// Endpoints lists what there is, for the tables of routes.
func (a *API) Endpoints() []Endpoint { return a.endpoints }

// get makes the row of an endpoint that reads. What is read goes out with its manifest.
func get[Q any, A listed](path, object, action, summary string, serve func(*call, Q) (A, error)) Endpoint {
	return Endpoint{
		Method: http.MethodGet, Path: path, Object: object, Action: action, Summary: summary, Status: http.StatusOK,
		query: reflect.TypeFor[Q](), answer: reflect.TypeFor[A](),
		serve: func(c *call) error {
			var query Q
			if err := readQuery(c, &query); err != nil {
				return err
			}
			answer, err := serve(c, query)
			if err != nil {
				return err
			}
			return c.sendListed(answer)
		},
	}
}

// download makes the row of an endpoint that answers with a file.
func download[Q any](path, object, action, summary string, serve func(*call, Q) error) Endpoint {
	return Endpoint{
		Method: http.MethodGet, Path: path, Object: object, Action: action, Summary: summary, Status: http.StatusOK, query: reflect.TypeFor[Q](), file: true,
		serve: func(c *call) error {
			var query Q
			if err := readQuery(c, &query); err != nil {
				return err
			}
			return serve(c, query)
		},
	}
}

// post makes the row of an endpoint that writes.
func post[Q, B, A any](path, object, action string, status int, summary string, serve func(*call, Q, B) (A, error)) Endpoint {
	return Endpoint{
		Method: http.MethodPost, Path: path, Object: object, Action: action, Summary: summary, Status: status, Once: true,
		query: reflect.TypeFor[Q](), body: reflect.TypeFor[B](), answer: reflect.TypeFor[A](),
		serve: func(c *call) error {
			var query Q
			if err := readQuery(c, &query); err != nil {
				return err
			}
			var body B
			if err := readBody(c, &body); err != nil {
				return err
			}
			answer, err := serve(c, query, body)
			if err != nil {
				return err
			}
			return c.JSON(status, answer)
		},
	}
}

const maxBody = 1 << 20

// Mount adds the endpoints to a router.
func (a *API) Mount(e *echo.Echo) {
	zip := middleware.GzipWithConfig(middleware.GzipConfig{Level: gzip.BestSpeed, MinLength: 1024})
	// Not a group: echo's groups answer a wrong method as an absent path.
	for _, p := range a.endpoints {
		serve := a.showDocument
		if p.serve != nil {
			serve = a.authenticated(p)
		}
		e.Add(p.Method, Prefix+p.Path, serve, a.edge, zip)
	}
}

var errNoEndpoint = fault.New(fault.KindNotFound, "endpoint_absent", "There is no such endpoint. GET "+Prefix+"/openapi.json lists them.")

// edge is what every endpoint has: bounds, headers, and problems for failures.
func (a *API) edge(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Request().Body = http.MaxBytesReader(c.Response(), c.Request().Body, maxBody)
		if err := next(c); err != nil {
			a.Fail(c, err)
		}
		return nil
	}
}

func (a *API) authenticated(p Endpoint) echo.HandlerFunc {
	return func(c echo.Context) error {
		kind, token, _ := strings.Cut(c.Request().Header.Get("Authorization"), " ")
		if !strings.EqualFold(kind, "Bearer") {
			return app.ErrToken
		}
		who, err := a.areas.Members.ByToken(c.Request().Context(), secret.NewText(strings.TrimSpace(token)))
		if err != nil {
			return err
		}
		c.SetRequest(c.Request().WithContext(a.areas.Members.Under(c.Request().Context(), who, app.ViaAPI, c.RealIP())))
		return p.serve(&call{Context: c, api: a, who: who, chosen: map[string]string{}})
	}
}

func (a *API) showDocument(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", "public, max-age=300")
	return c.Blob(http.StatusOK, echo.MIMEApplicationJSON, a.document)
}
