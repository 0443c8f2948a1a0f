// Pictures of every page, light and dark, wide and narrow, into docs/screenshots.
import { test, expect, type Page } from '@playwright/test';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { card, signIn } from './journeys/support.js';

const out = process.env.TOLLBOOK_SCREENSHOTS ?? join(import.meta.dirname, '..', 'docs', 'screenshots');
mkdirSync(out, { recursive: true });

const pages: { name: string; role: string; open: (page: Page) => Promise<void> }[] = [
  { name: 'chargeback', role: 'finance_admin', open: (page) => go(page, '/') },
  { name: 'chargeback-project', role: 'analyst', open: (page) => go(page, '/?group_by=project') },
  { name: 'chargeback-developer', role: 'analyst', open: (page) => go(page, '/?group_by=developer') },
  { name: 'chargeback-subtree', role: 'budget_owner', open: (page) => go(page, '/') },
  { name: 'chargeback-empty', role: 'controller', open: (page) => go(page, '/?period=2025-01') },
  { name: 'requests', role: 'finance_admin', open: (page) => go(page, '/requests') },
  { name: 'requests-filtered-out', role: 'finance_admin', open: (page) => go(page, '/requests?session=none-such') },
  { name: 'requests-own', role: 'developer', open: (page) => go(page, '/') },
  { name: 'requests-retag', role: 'finance_admin', open: (page) => go(page, '/requests/retag?all=1&node=CC-4100&from=' + new Date(Date.now() - 2 * 86400e3).toISOString().slice(0, 10)) },
  { name: 'request', role: 'auditor', open: firstRequest },
  { name: 'sessions', role: 'finance_admin', open: (page) => go(page, '/sessions') },
  { name: 'session', role: 'finance_admin', open: firstSession },
  { name: 'explore', role: 'finance_admin', open: (page) => go(page, '/explore') },
  { name: 'explore-days', role: 'analyst', open: (page) => go(page, '/explore?by=day') },
  { name: 'search', role: 'finance_admin', open: (page) => go(page, '/search?q=4100') },
  { name: 'keys', role: 'engineering_admin', open: (page) => go(page, '/keys') },
  { name: 'key', role: 'engineering_admin', open: firstKey },
  { name: 'key-new', role: 'engineering_admin', open: (page) => go(page, '/keys/new') },
  { name: 'key-rotate', role: 'engineering_admin', open: rotateFirst },
  { name: 'key-revoke', role: 'engineering_admin', open: revokeFirst },
  { name: 'node', role: 'finance_admin', open: (page) => go(page, '/nodes/CC-4100') },
  { name: 'nodes', role: 'engineering_admin', open: (page) => go(page, '/nodes') },
  { name: 'nodes-differences', role: 'auditor', open: (page) => go(page, '/nodes?from=2020-01-01') },
  { name: 'nodes-change', role: 'engineering_admin', open: (page) => go(page, '/nodes/change?op=move&code=P-4100-11&parent=CC-6300') },
  { name: 'nodes-capitalization', role: 'engineering_admin', open: (page) => go(page, '/nodes/change?op=capitalization&code=P-4100-07') },
  { name: 'nodes-import', role: 'analyst', open: (page) => go(page, '/nodes/import') },
  { name: 'rights', role: 'engineering_admin', open: (page) => go(page, '/keys/rights') },
  { name: 'device', role: 'developer', open: (page) => go(page, '/device') },
  { name: 'allow', role: 'developer', open: allowed },
  { name: 'logins', role: 'engineering_admin', open: (page) => go(page, '/connect/logins') },
  { name: 'connect', role: 'engineering_admin', open: (page) => go(page, '/connect') },
  { name: 'prices', role: 'finance_admin', open: (page) => go(page, '/prices') },
  { name: 'rules', role: 'finance_admin', open: (page) => go(page, '/rules') },
  { name: 'rules-edit', role: 'engineering_admin', open: (page) => go(page, '/rules/edit?new=1') },
  { name: 'rules-test', role: 'auditor', open: (page) => go(page, '/rules/test?model=claude-haiku-5-5&tags=team%3Dperception') },
  { name: 'rules-replay', role: 'analyst', open: (page) => go(page, '/rules/replay') },
  { name: 'journal', role: 'finance_admin', open: (page) => go(page, '/journal?period=' + lastMonth()) },
  { name: 'journal-entry', role: 'controller', open: firstEntry },
  { name: 'journal-reverse', role: 'finance_admin', open: reverseFirst },
  { name: 'reconciliation', role: 'controller', open: (page) => go(page, '/reconciliation') },
  { name: 'reconciliation-day', role: 'finance_admin', open: (page) => go(page, '/reconciliation/' + new Date(Date.now() - 5 * 86400e3).toISOString().slice(0, 10)) },
  { name: 'reconciliation-tolerance', role: 'finance_admin', open: (page) => go(page, '/reconciliation/tolerance') },
  { name: 'variances', role: 'auditor', open: (page) => go(page, '/variances?state=all') },
  { name: 'provider-reports', role: 'finance_admin', open: (page) => go(page, '/settings/provider') },
  { name: 'commentary', role: 'finance_admin', open: (page) => go(page, '/commentary') },
  { name: 'commentary-node', role: 'budget_owner', open: (page) => go(page, '/commentary/' + lastMonth() + '/CC-4100') },
  { name: 'disputes', role: 'finance_admin', open: (page) => go(page, '/disputes?state=all') },
  { name: 'dispute-new', role: 'budget_owner', open: (page) => go(page, '/disputes/new?node=CC-4400&to=CC-5200&period=' + lastMonth()) },
  { name: 'close', role: 'controller', open: (page) => go(page, '/close') },
  { name: 'close-materiality', role: 'finance_admin', open: (page) => go(page, '/close/materiality') },
  { name: 'close-holidays', role: 'finance_admin', open: (page) => go(page, '/close/holidays') },
  { name: 'close-month', role: 'finance_admin', open: (page) => go(page, '/close/' + lastMonth()) },
  { name: 'journal-terms', role: 'finance_admin', open: (page) => go(page, '/journal/terms') },
  { name: 'exports', role: 'finance_admin', open: (page) => go(page, '/exports?period=' + lastMonth()) },
  { name: 'exports-mapping', role: 'finance_admin', open: (page) => go(page, '/exports/mapping/netsuite') },
  { name: 'exports-layout', role: 'finance_admin', open: (page) => go(page, '/exports/mapping/workday') },
  { name: 'exports-tie-out', role: 'controller', open: (page) => go(page, '/exports/tie-out?period=' + lastMonth()) },
  { name: 'trial-balance', role: 'auditor', open: (page) => go(page, '/journal/trial-balance?period=' + lastMonth()) },
  { name: 'chargeback-movement', role: 'finance_admin', open: (page) => go(page, '/chargeback/movement') },
  { name: 'plan', role: 'finance_admin', open: (page) => go(page, '/plan') },
  { name: 'plan-edit', role: 'analyst', open: (page) => go(page, '/plan/edit') },
  { name: 'plan-import', role: 'analyst', open: refusedPlan },
  { name: 'plan-check', role: 'analyst', open: checkedPlan },
  { name: 'changes', role: 'finance_admin', open: (page) => go(page, '/changes') },
  { name: 'changes-filtered-out', role: 'finance_admin', open: (page) => go(page, '/changes?state=expired') },
  { name: 'change', role: 'finance_admin', open: (page) => theChange(page, /^Move P-4100-11/) },
  { name: 'change-own', role: 'engineering_admin', open: (page) => theChange(page, /^Move P-4100-11/) },
  { name: 'change-policies', role: 'controller', open: (page) => theChange(page, /^Approval policies/) },
  { name: 'changes-bulk', role: 'controller', open: bulk },
  { name: 'policies', role: 'tenant_owner', open: (page) => go(page, '/changes/policies') },
  { name: 'policies-edit', role: 'tenant_owner', open: newPolicy },
  { name: 'delegations', role: 'finance_admin', open: (page) => go(page, '/changes/delegations') },
  { name: 'members', role: 'tenant_owner', open: (page) => go(page, '/members') },
  { name: 'member', role: 'tenant_owner', open: firstMember },
  { name: 'groups', role: 'tenant_owner', open: (page) => go(page, '/members/groups') },
  { name: 'issuers', role: 'tenant_owner', open: (page) => go(page, '/members/issuers') },
  { name: 'settings', role: 'tenant_owner', open: (page) => go(page, '/settings') },
  { name: 'tokens', role: 'tenant_owner', open: (page) => go(page, '/tokens') },
  { name: 'account', role: 'developer', open: (page) => go(page, '/account') },
  { name: 'log', role: 'auditor', open: (page) => go(page, '/log') },
  { name: 'log-filtered-out', role: 'auditor', open: (page) => go(page, '/log?to=2020-01-01') },
  { name: 'log-record', role: 'auditor', open: firstRecord },
  { name: 'log-keys', role: 'auditor', open: (page) => go(page, '/log/keys') },
  { name: 'log-export', role: 'auditor', open: (page) => go(page, '/log/export') },
  { name: 'operator', role: 'operator', open: (page) => go(page, '/operator') },
  { name: 'not-permitted', role: 'budget_owner', open: (page) => go(page, '/keys') },
];

async function go(page: Page, path: string): Promise<void> {
  await page.goto(card().web_url + path);
}

async function firstRequest(page: Page): Promise<void> {
  await go(page, '/requests?state=complete');
  await page.locator('tbody a[data-row]').first().click();
  await expect(page.getByRole('heading', { name: 'Charge by class' })).toBeVisible();
}

async function firstSession(page: Page): Promise<void> {
  await go(page, '/sessions');
  await page.locator('tbody a[data-row]').first().click();
  await expect(page.getByRole('heading', { name: 'Turns in order' })).toBeVisible();
}

async function revokeFirst(page: Page): Promise<void> {
  await go(page, '/keys');
  await page.getByRole('link', { name: /^Revoke/ }).first().click();
}

async function firstRecord(page: Page): Promise<void> {
  await go(page, '/log?action=change.applied');
  await page.locator('tbody a[data-row]').last().click();
  await expect(page.getByRole('heading', { name: 'Proof of its place' })).toBeVisible();
}

async function sendPlan(page: Page, text: string): Promise<void> {
  await go(page, '/plan/import');
  await page.getByLabel('Or its text').fill(text);
  await page.getByRole('button', { name: 'Check what changes' }).click();
}

async function refusedPlan(page: Page): Promise<void> {
  const month = `${new Date().getUTCFullYear()}-12`;
  await sendPlan(page, `code,${month}\nCC-4100,lots\nCC-9999,100\n`);
  await expect(page.getByRole('heading', { name: 'What is wrong' })).toBeVisible();
}

async function checkedPlan(page: Page): Promise<void> {
  const month = `${new Date().getUTCFullYear()}-12`;
  await sendPlan(page, `code,${month}\nCC-4100,250\nCC-6200,\n`);
  await expect(page.getByText('Nothing is written yet')).toBeVisible();
}

// allowed is what a command line on this machine opens; the challenge is anybody's.
async function allowed(page: Page): Promise<void> {
  await go(page, `/login/meridian?port=45678&state=${'s'.repeat(26)}&challenge=${'c'.repeat(43)}&client=laptop&cost_center=CC-4200`);
}

// lastMonth is the month before this one, in which every day is posted.
function lastMonth(): string {
  const now = new Date();
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - 1, 1)).toISOString().slice(0, 7);
}

async function firstEntry(page: Page): Promise<void> {
  await go(page, '/journal?period=' + lastMonth());
  await page.locator('tbody a[data-row]').first().click();
}

async function reverseFirst(page: Page): Promise<void> {
  await firstEntry(page);
  await page.getByRole('link', { name: 'Take it back' }).click();
}

async function firstKey(page: Page): Promise<void> {
  await go(page, '/keys');
  await page.locator('tbody a[data-row]').first().click();
}

async function rotateFirst(page: Page): Promise<void> {
  await go(page, '/keys');
  await page.getByRole('link', { name: /^Rotate/ }).first().click();
}

async function theChange(page: Page, name: RegExp): Promise<void> {
  await go(page, '/changes');
  await page.getByRole('link', { name }).first().click();
  await expect(page.getByRole('heading', { name: 'Who decides' })).toBeVisible();
}

async function bulk(page: Page): Promise<void> {
  await go(page, '/changes');
  for (const box of await page.getByRole('checkbox', { name: /^Choose change/ }).all()) await box.check();
  await page.getByRole('button', { name: /^Approve those chosen/ }).click();
  await expect(page.getByText('Nothing is decided yet')).toBeVisible();
}

async function newPolicy(page: Page): Promise<void> {
  await go(page, '/changes/policies/edit');
  await page.getByRole('button', { name: 'Add a policy' }).click();
}

async function firstMember(page: Page): Promise<void> {
  await go(page, '/members?role=budget_owner');
  await page.locator('tbody a[data-row]').first().click();
}

async function shoot(page: Page, name: string): Promise<void> {
  await page.evaluate(() => document.fonts.ready);
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const [size, width] of [['wide', 1700], ['narrow', 390]] as const) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await page.setViewportSize({ width, height: size === 'wide' ? 1000 : 844 });
      await page.screenshot({ path: join(out, `${name}-${size}-${colorScheme}.png`), fullPage: true });
    }
  }
}

for (const one of pages) {
  test(one.name, async ({ page }) => {
    await signIn(page, one.role);
    await one.open(page);
    await shoot(page, one.name);
  });
}

test('founder', async ({ page, request }) => {
  const slug = `harbor-${Date.now().toString(36)}`;
  await go(page, '/sign-up');
  await shoot(page, 'sign-up');
  await page.getByRole('link', { name: /^Continue with / }).click();
  await page.getByRole('button', { name: /Lin Nakamura/ }).click();
  await page.getByLabel('Company').fill('Harbor Works');
  await page.locator('#slug').fill('meridian');
  await page.getByRole('button', { name: 'Found the company' }).click();
  await expect(page.getByRole('alert')).toBeVisible();
  await shoot(page, 'sign-up-company');
  await page.locator('#slug').fill(slug);
  await page.getByRole('button', { name: 'Found the company' }).click();
  await shoot(page, 'setup-start');
  await page.getByLabel(/API key/).fill('sk-harbor');
  await page.getByRole('button', { name: 'Store it and test it' }).click();
  await page.getByLabel(/^Code/).fill('HW-100');
  await page.getByRole('textbox', { name: 'Name', exact: true }).fill('Platform');
  await page.getByRole('button', { name: 'Make the cost center' }).click();
  await expect(page.getByRole('link', { name: 'HW-100 Platform' })).toBeVisible();
  await shoot(page, 'setup-middle');
  await page.getByRole('button', { name: 'Make the key' }).click();
  const key = (await page.locator('pre code').first().textContent()) ?? '';
  await page.getByRole('link', { name: /go on with the set-up/ }).click();
  await request.post(`${card().web_url}/gw/${slug}/v1/messages`, {
    headers: { 'x-api-key': key, 'anthropic-version': '2023-06-01' },
    data: { model: 'claude-sonnet-5-5', max_tokens: 64, messages: [{ role: 'user', content: 'say hi' }] },
  });
  await expect(page.getByRole('link', { name: 'Walk down the figure' })).toBeVisible({ timeout: 20_000 });
  await shoot(page, 'setup-end');
});

test('door', async ({ page }) => {
  await go(page, '/sign-in');
  await shoot(page, 'sign-in');
  await page.getByRole('link', { name: 'Meridian Robotics' }).click();
  await shoot(page, 'sign-in-tenant');
});
