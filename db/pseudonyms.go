package db

// PseudonymKey reads the sealed key that the tenant's developers' ids are made with;
// empty when the tenant has none yet.
func (t *Tx) PseudonymKey() ([]byte, error) {
	var sealed []byte
	_, err := t.row("read pseudonym key", []any{&sealed}, `select key_sealed from pseudonym_key where tenant_id = $1`, t.Tenant)
	return sealed, err
}

// AddPseudonymKey stores the tenant's key, once: one that is there stays.
func (t *Tx) AddPseudonymKey(sealed []byte) error {
	return t.exec("add pseudonym key", `insert into pseudonym_key (tenant_id, key_sealed, recorded_at) values ($1, $2, $3) on conflict do nothing`, t.Tenant, sealed, t.Now)
}

// ResealPseudonymKey replaces the seal of the same key, if nobody else has.
func (t *Tx) ResealPseudonymKey(from, to []byte) error {
	return t.exec("reseal pseudonym key", `update pseudonym_key set key_sealed = $3 where tenant_id = $1 and key_sealed = $2`, t.Tenant, from, to)
}
