// Changes of one person that another decides about: proposed, asked about, edited, decided
// for somebody, and several at once.
import { expect, test, type APIRequestContext, type Browser, type Page } from '@playwright/test';
import { card, expectAccessible, signIn, watch } from './support.js';

/** Has the engineering admin propose another name of a cost center; it waits for finance. */
async function proposeName(request: APIRequestContext, code: string, name: string): Promise<string> {
  const answer = await request.post(`${card().web_url}/api/v1/changes`, {
    headers: { authorization: `Bearer ${card().api_tokens.engineering_admin}` },
    data: { kind: 'node', payload: { operations: [{ op: 'rename', code, name }] }, reason: `to be called ${name}` },
  });
  expect(answer.status(), await answer.text()).toBe(201);
  return (await answer.json()).id;
}

async function open(browser: Browser, role: string, path: string): Promise<Page> {
  const page = await (await browser.newContext()).newPage();
  await signIn(page, role);
  await page.goto(card().web_url + path);
  return page;
}

const unique = (): string => `Telemetry ${Date.now().toString(36)}`;

test('an engineer proposes, and finance asks and approves', async ({ browser, request }) => {
  const name = unique();
  const change = await proposeName(request, 'CC-5200', name);
  const engineer = await open(browser, 'engineering_admin', '/changes');
  const complaints = watch(engineer);
  await expect(engineer.getByRole('region', { name: 'Yours' }).getByRole('link', { name: `Rename CC-5200 to “${name}”` })).toBeVisible();
  await engineer.getByRole('link', { name: `Rename CC-5200 to “${name}”` }).click();
  await expect(engineer.getByText('You proposed this')).toBeVisible();
  await expect(engineer.getByRole('button', { name: /^Approve/ })).toHaveCount(0);
  await expectAccessible(engineer);

  const finance = await open(browser, 'finance_admin', '/changes');
  await expect(finance.getByRole('link', { name: /^Changes .*for you$/ })).toBeVisible();
  await expectAccessible(finance);
  await finance.getByRole('link', { name: `Rename CC-5200 to “${name}”` }).click();
  await finance.getByLabel(/^Say something/).fill('Since when is it called that?');
  await finance.getByRole('button', { name: 'Ask', exact: true }).click();
  await expect(finance.getByText('Since when is it called that?').first()).toBeVisible();
  await expectAccessible(finance);
  await finance.getByRole('textbox', { name: 'Why', exact: true }).fill('as the team says');
  await finance.getByRole('button', { name: /^Approve/ }).click();
  await expect(finance.getByText('✓ Applied')).toBeVisible();
  await expect(finance.getByRole('heading', { name: 'Decide', exact: true })).toHaveCount(0);
  await expectAccessible(finance);
  await finance.getByRole('link', { name: 'Its records in the audit log' }).click();
  await expect(finance.getByRole('row', { name: /Change applied/ })).toBeVisible();
  await finance.locator(`a[href="/changes/${change}"]`).first().click();
  await expect(finance.getByRole('heading', { level: 1 })).toHaveText(`Rename CC-5200 to “${name}”`);
  await finance.goto(`${card().web_url}/nodes/CC-5200`);
  await expect(finance.getByRole('heading', { level: 1 })).toContainText(name);
  expect(complaints).toEqual([]);
});

test('an edit is another content: what was shown cannot be approved any more', async ({ browser, request }) => {
  const change = await proposeName(request, 'CC-5400', unique());
  const controller = await open(browser, 'controller', `/changes/${change}`);
  await controller.getByRole('textbox', { name: 'Why', exact: true }).fill('as it was shown');
  const engineer = await open(browser, 'engineering_admin', `/changes/${change}`);
  await engineer.getByText('Edit what it proposes').click();
  await expectAccessible(engineer);
  await engineer.getByLabel('Content (JSON)').fill('{"operations":[{"op":"rename","code":"CC-5400","name":"Something else"}]}');
  await engineer.getByLabel('Takes effect (UTC; empty: when it is approved)').fill('');
  await engineer.getByRole('button', { name: 'Save the edit' }).click();
  await expect(engineer.getByText(/^Edited: content 2/)).toBeVisible();
  await controller.getByRole('button', { name: /^Approve/ }).click();
  await expect(controller.getByRole('alert')).toContainText('is not what was proposed');
  await expect(controller.getByRole('textbox', { name: 'Why', exact: true })).toHaveValue('as it was shown');
  await controller.getByRole('button', { name: 'Reject', exact: true }).click();
  await expect(controller.getByText('× Rejected')).toBeVisible();
});

test('somebody decides in another’s stead, and no longer', async ({ browser, request }) => {
  const change = await proposeName(request, 'CC-6100', unique());
  const finance = await open(browser, 'finance_admin', '/changes/delegations');
  await expectAccessible(finance);
  await finance.getByLabel(/^Who \(/).fill('tomas.rivera@meridian.example');
  await finance.getByLabel(/^Until/).fill(new Date(Date.now() + 2 * 86_400_000).toISOString().slice(0, 10));
  await finance.getByRole('textbox', { name: 'Why', exact: true }).fill('on a train');
  await finance.getByRole('button', { name: 'Delegate' }).click();
  const row = finance.getByRole('row', { name: /on a train/ }).first();
  await expect(row).toContainText('In force');

  const analyst = await open(browser, 'analyst', `/changes/${change}`);
  await expect(analyst.getByLabel('Decide as')).toContainText('Tomás Rivera for Ingrid Solberg');
  await expectAccessible(analyst);
  await analyst.getByRole('textbox', { name: 'Why', exact: true }).fill('she asked me to');
  await analyst.getByRole('button', { name: /^Approve/ }).click();
  await expect(analyst.getByText('Tomás Rivera for Ingrid Solberg').first()).toBeVisible();
  await row.getByRole('textbox').fill('back');
  await row.getByRole('button', { name: 'End now' }).click();
  await expect(finance.getByRole('row', { name: /on a train/ }).first()).toContainText('Ended');
});

test('several are decided at once, each for itself', async ({ browser, request }) => {
  const names = [unique() + ' a', unique() + ' b'];
  await proposeName(request, 'CC-6200', names[0]);
  await proposeName(request, 'CC-6400', names[1]);
  const controller = await open(browser, 'controller', '/changes?kind=node&state=proposed');
  for (const name of names) await controller.getByRole('row', { name: new RegExp(name) }).getByRole('checkbox').check();
  await controller.getByRole('button', { name: /^Approve those chosen/ }).click();
  await expect(controller.getByRole('heading', { level: 1 })).toHaveText('Approve 2 changes?');
  await expectAccessible(controller);
  await controller.getByRole('textbox', { name: /^Why/ }).fill('both as proposed');
  await controller.getByRole('button', { name: 'Approve 2 changes' }).click();
  await expect(controller.getByText('✓ Applied')).toHaveCount(2);
  await expectAccessible(controller);
});

test('policies are filled in, previewed and proposed, and taken back', async ({ browser }) => {
  const owner = await open(browser, 'tenant_owner', '/changes/policies');
  await expectAccessible(owner);
  await owner.getByRole('link', { name: 'Propose other policies' }).click();
  await owner.getByRole('button', { name: 'Add a policy' }).click();
  const panel = owner.getByRole('region', { name: /^Policy \d+$/ }).last();
  await panel.getByLabel(/^Code/).fill(`extra-${Date.now().toString(36)}`);
  await panel.getByRole('group', { name: 'For changes of' }).getByLabel('Prices').check();
  await panel.getByRole('group', { name: 'Who decides it' }).first().getByLabel('Controller').check();
  await expectAccessible(owner);
  await owner.getByRole('button', { name: 'Preview' }).click();
  await expect(owner.getByRole('region', { name: 'What would change' })).toContainText('1 added');
  await expectAccessible(owner);
  await owner.getByRole('textbox', { name: 'Why', exact: true }).fill('to see how it is done');
  await owner.getByRole('button', { name: 'Propose', exact: true }).click();
  await expect(owner.getByRole('heading', { level: 1 })).toHaveText('Approval policies');
  await owner.getByRole('textbox', { name: 'Why', exact: true }).fill('it was to look at');
  await owner.getByRole('button', { name: 'Withdraw' }).click();
  await expect(owner.getByText('↩ Withdrawn')).toBeVisible();
});
