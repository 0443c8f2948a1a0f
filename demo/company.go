package demo

import (
	"fmt"
	"strings"

	"tollbook/app"
)

// Slug and Name are the example company's.
const (
	Slug = "meridian"
	Name = "Meridian Robotics"
)

// center is one cost center: who works in it and on what.
type center struct {
	code       string
	developers int
	weight     int // how much of the company's work happens here
	projects   []string
	opus       int // per cent of work on the largest model
}

// hierarchy is the company's tree: 3 business units in two entities, 12 cost centers, projects.
func hierarchy() []app.NewNode {
	unit := func(code, name, entity string) app.NewNode {
		return app.NewNode{Code: code, Name: name, Kind: "business_unit", Entity: entity, Capitalization: "expense"}
	}
	cost := func(code, parent, name, gl, treatment string) app.NewNode {
		return app.NewNode{Code: code, Name: name, Kind: "cost_center", ParentCode: parent, GLAccount: gl, Capitalization: treatment}
	}
	project := func(code, parent, name string) app.NewNode {
		return app.NewNode{Code: code, Name: name, Kind: "project", ParentCode: parent, Capitalization: "capitalize"}
	}
	return []app.NewNode{
		unit("BU-10", "Autonomy", "US01"), unit("BU-20", "Fleet operations", "US01"), unit("BU-30", "Corporate", "US02"),
		cost("CC-4100", "BU-10", "Perception platform", "6410", "expense"),
		project("P-4100-07", "CC-4100", "Lidar fusion"), project("P-4100-11", "CC-4100", "Dataset tooling"),
		cost("CC-4200", "BU-10", "Motion planning", "6410", "capitalize"), project("P-4200-02", "CC-4200", "Merge behavior"),
		cost("CC-4300", "BU-10", "Simulation", "6410", "expense"), project("P-4300-01", "CC-4300", "Scenario generator"),
		cost("CC-4400", "BU-10", "Safety engineering", "6410", "expense"),
		cost("CC-5100", "BU-20", "Fleet services", "6420", "expense"), project("P-5100-03", "CC-5100", "Dispatch rewrite"),
		cost("CC-5200", "BU-20", "Telemetry", "6420", "expense"), cost("CC-5300", "BU-20", "Depot software", "6420", "expense"),
		cost("CC-5400", "BU-20", "Customer portal", "6420", "expense"), project("P-5400-01", "CC-5400", "Self-service booking"),
		cost("CC-6100", "BU-30", "IT operations", "6430", "expense"), cost("CC-6200", "BU-30", "Security", "6430", "expense"),
		cost("CC-6300", "BU-30", "Data engineering", "6430", "expense"), cost("CC-6400", "BU-30", "Finance systems", "6430", "expense"),
	}
}

// centers says how the company's 60 developers and its work spread.
func centers() []center {
	return []center{
		{"CC-4100", 12, 24, []string{"P-4100-07", "P-4100-11"}, 55}, {"CC-4200", 8, 17, []string{"P-4200-02"}, 60},
		{"CC-4300", 6, 10, []string{"P-4300-01"}, 35}, {"CC-4400", 3, 4, nil, 50},
		{"CC-5100", 6, 10, []string{"P-5100-03"}, 30}, {"CC-5200", 5, 7, nil, 25}, {"CC-5300", 4, 5, nil, 25},
		{"CC-5400", 5, 8, []string{"P-5400-01"}, 30}, {"CC-6100", 3, 4, nil, 15}, {"CC-6200", 3, 4, nil, 45},
		{"CC-6300", 3, 5, nil, 30}, {"CC-6400", 2, 2, nil, 10},
	}
}

// developers names the people of one cost center by the address they declare.
func developers(c center) []string {
	given := []string{"ada", "bo", "chen", "dara", "emil", "fatima", "goran", "hana", "ivan", "jun", "kofi", "lena"}
	list := make([]string, c.developers)
	for i := range list {
		list[i] = fmt.Sprintf("%s.%s@meridian.example", given[i], strings.ToLower(c.code[3:]))
	}
	return list
}

// Person is somebody of the company with a role.
type Person struct {
	Role    app.Role
	Subject string
	Name    string
	Email   string
	Node    string // a budget owner's subtree
}

// People lists one person for each role that signs in.
func People() []Person {
	return []Person{
		{app.RoleFinanceAdmin, "u-ingrid", "Ingrid Solberg", "ingrid.solberg@meridian.example", ""},
		{app.RoleAnalyst, "u-tomas", "Tomás Rivera", "tomas.rivera@meridian.example", ""},
		{app.RoleController, "u-priya", "Priya Raman", "priya.raman@meridian.example", ""},
		{app.RoleBudgetOwner, "u-marcus", "Marcus Webb", "marcus.webb@meridian.example", "BU-10"},
		{app.RoleEngineeringAdmin, "u-sofia", "Sofia Lindqvist", "sofia.lindqvist@meridian.example", ""},
		{app.RoleDeveloper, "u-ada", "Ada Okafor", "ada.4100@meridian.example", ""},
		{app.RoleAuditor, "u-henrik", "Henrik Moreau", "henrik.moreau@audit.example", ""},
		{app.RoleTenantOwner, "u-grace", "Grace Kim", "grace.kim@meridian.example", ""},
	}
}

// OperatorName is what the link of who runs the installation is called: it is no role.
const OperatorName = "operator"

// Operator runs the installation. In the company they are the least there is.
func Operator() Person {
	return Person{app.RoleDeveloper, "u-olu", "Olu Adeyemi", "olu.adeyemi@meridian.example", ""}
}

// Founder has no company yet: somebody to sign up.
func Founder() Person {
	return Person{Subject: "u-lin", Name: "Lin Nakamura", Email: "lin.nakamura@harborworks.example"}
}

// Strangers lists whom the local issuer knows and the company does not: somebody to
// refuse, and to invite.
func Strangers() []Person {
	return []Person{{Subject: "u-noor", Name: "Noor Haddad", Email: "noor.haddad@meridian.example"}}
}
