package usage

// AgentCall is what one request of a session says of the agent that made it; both are
// empty for the main agent.
type AgentCall struct{ Agent, Parent string }

// Agent is one agent of a session; ID is empty for the main one.
type Agent struct {
	ID    string
	Depth int // 0 for the main agent
}

// Agents orders the agents of a session as a tree: the main agent first, each below
// who started it, siblings by their first call. Clients declare these ids, so an agent
// whose parent never called, or that would be below itself, is put below the main one.
func Agents(calls []AgentCall) []Agent {
	parents := map[string]string{}
	var order []string
	for _, c := range calls {
		if _, known := parents[c.Agent]; known || c.Agent == "" {
			continue
		}
		parents[c.Agent] = c.Parent
		order = append(order, c.Agent)
	}
	children := map[string][]string{}
	for _, agent := range order {
		parent := parents[agent]
		if _, called := parents[parent]; !called || rings(parents, agent) {
			parent = ""
		}
		children[parent] = append(children[parent], agent)
	}
	tree := make([]Agent, 0, len(order)+1)
	var walk func(id string, depth int)
	walk = func(id string, depth int) {
		tree = append(tree, Agent{ID: id, Depth: depth})
		for _, child := range children[id] {
			walk(child, depth+1)
		}
	}
	walk("", 0)
	return tree
}

// rings tells whether an agent is among its own ancestors.
func rings(parents map[string]string, agent string) bool {
	at := parents[agent]
	for range parents {
		if at == agent {
			return true
		}
		if at == "" {
			return false
		}
		at = parents[at]
	}
	return false
}
