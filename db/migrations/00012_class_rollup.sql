-- Reason: why a month differs from the one before is told by model and token class, and pages are answered from rollups (DESIGN 7, 10).
-- +goose Up
create table rollup_class_day (
  tenant_id uuid not null references tenant,
  posting_period date not null,
  day date not null,
  placement_id uuid not null,
  model text not null,
  class text not null check (class in ('input', 'output', 'cache_write_5m', 'cache_write_1h', 'cache_read', 'other')),
  tokens bigint not null,
  charge_pico numeric(38, 0) not null,
  primary key (tenant_id, posting_period, day, placement_id, model, class),
  foreign key (tenant_id, placement_id) references placement
);
select make_tenant_table('rollup_class_day', 'select, insert, update');

-- What was flushed before is rolled here, as the owner, who is otherwise subject to the tenant policy: whole requests by class, and what is left of
-- each day (server tools, requests that were split) as "other".
alter table usage_event no force row level security;
alter table rollup_placement_day no force row level security;
alter table rollup_class_day no force row level security;
set local role tollbook_owner;
insert into rollup_class_day (tenant_id, posting_period, day, placement_id, model, class, tokens, charge_pico)
select e.tenant_id, e.posting_period, (e.occurred_at at time zone 'UTC')::date, e.placement_id, coalesce(e.model_served, e.model_requested), c.class, sum(c.tokens), sum(c.pico)
from usage_event e cross join lateral (values ('input', input_tokens, input_charge_pico), ('output', output_tokens, output_charge_pico),
  ('cache_write_5m', cache_write_5m_tokens, cache_write_5m_charge_pico), ('cache_write_1h', cache_write_1h_tokens, cache_write_1h_charge_pico),
  ('cache_read', cache_read_tokens, cache_read_charge_pico)) as c(class, tokens, pico)
where e.placement_id is not null and (c.tokens <> 0 or c.pico <> 0)
group by 1, 2, 3, 4, 5, 6;
insert into rollup_class_day (tenant_id, posting_period, day, placement_id, model, class, tokens, charge_pico)
select p.tenant_id, p.posting_period, p.day, p.placement_id, p.model, 'other', 0, p.pico - coalesce(c.pico, 0)
from (select tenant_id, posting_period, day, placement_id, model, sum(charge_pico) as pico from rollup_placement_day group by 1, 2, 3, 4, 5) p
left join (select tenant_id, posting_period, day, placement_id, model, sum(charge_pico) as pico from rollup_class_day group by 1, 2, 3, 4, 5) c
  using (tenant_id, posting_period, day, placement_id, model)
where p.pico <> coalesce(c.pico, 0);
reset role;
alter table usage_event force row level security;
alter table rollup_placement_day force row level security;
alter table rollup_class_day force row level security;
