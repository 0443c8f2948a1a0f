// The file that finance's system takes: a missing mapping is mended by two people, and the same bytes come twice.
import { expect, test, type Locator, type Page } from '@playwright/test';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { card, expectAccessible, signIn, watch } from './support.js';

function lastMonth(): string {
  const now = new Date();
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - 1, 1)).toISOString().slice(0, 7);
}

async function open(page: Page, path: string): Promise<void> {
  await page.goto(card().web_url + path);
}

async function download(page: Page, link: Locator): Promise<{ file: string; text: string }> {
  const [file] = await Promise.all([page.waitForEvent('download'), link.click()]);
  return { file: file.suggestedFilename(), text: readFileSync(await file.path(), 'utf8') };
}

async function approve(page: Page): Promise<void> {
  await expect(page).toHaveURL(/\/changes\/chg_/);
  const controller = await page.context().browser()!.newPage();
  await signIn(controller, 'controller');
  await controller.goto(page.url());
  await controller.getByRole('textbox', { name: 'Why', exact: true }).fill('as the chart of accounts has it');
  await controller.getByRole('button', { name: /^Approve/ }).click();
  await expect(controller.getByText('✓ Applied')).toBeVisible();
  await controller.close();
}

test('a finance admin downloads the NetSuite journal of a month, twice the same', async ({ page }) => {
  const complaints = watch(page);
  await signIn(page, 'finance_admin');
  await page.getByRole('link', { name: 'Exports', exact: true }).click();
  await expectAccessible(page);
  await open(page, `/exports?period=${lastMonth()}`);
  const netsuite = page.getByRole('region', { name: 'NetSuite' });
  await netsuite.getByRole('button', { name: 'Make drafts for NetSuite' }).click();
  await expect(page).toHaveURL(/#netsuite$/);
  const first = await download(page, netsuite.getByRole('link', { name: /^Download TB-meridian-\d+-US01-DRAFT-1$/ }));
  expect(first.file).toMatch(/^TB-meridian-\d{6}-US01-DRAFT-1-netsuite\.csv$/);
  expect(first.text).toContain('Journal Entry - Line: Department');
  expect(first.text).toContain('DRAFT: Claude usage of');
  const rows = first.text.trimEnd().split('\r\n').slice(1);
  expect(rows.length).toBeGreaterThan(20);
  const again = await download(page, netsuite.getByRole('link', { name: /^Download TB-meridian-\d+-US01-DRAFT-1$/ }));
  expect(again.text).toBe(first.text);
  await netsuite.getByRole('link', { name: /^TB-meridian-\d+-US01-DRAFT-1$/ }).click();
  await expectAccessible(page);
  await expect(page.getByText('was not locked when this was made')).toBeVisible();
  const digest = createHash('sha256').update(first.text).digest('hex');
  const manifest = await download(page, page.getByRole('link', { name: /^Manifest of/ }));
  expect(JSON.parse(manifest.text).sha256).toBe(digest);
  expect(complaints).toEqual([]);
});

test('a finance admin puts another system in use, and mends the one mapping it lacks', async ({ page }) => {
  await signIn(page, 'finance_admin');
  await open(page, '/exports/mapping/quickbooks');
  await expectAccessible(page);
  const rules = page.getByLabel(/^As CSV/);
  await rules.fill('field,source,code,value\naccount,kind,accrued_liability,Accrued\naccount,kind,*,AI services\ncolour,node,*,red\n');
  await page.getByRole('button', { name: 'Check what changes' }).click();
  await expect(page.getByText(/is no field of quickbooks/)).toBeVisible();
  await page.getByLabel(/^As CSV/).fill('field,source,code,value\naccount,kind,accrued_liability,Accrued\naccount,kind,capitalized_asset,Software\naccount,kind,suspense,Suspense\n'
    + 'account,kind,rounding,Rounding\naccount,kind,intercompany_due_from,Due from\naccount,kind,intercompany_due_to,Due to\n');
  await page.getByRole('button', { name: 'Check what changes' }).click();
  await expect(page.getByText('Nothing is written yet.')).toBeVisible();
  await expectAccessible(page);
  await page.getByLabel('Reason').fill('our chart of accounts');
  await page.getByRole('button', { name: 'Propose' }).click();
  await approve(page);

  await open(page, `/exports?period=${lastMonth()}`);
  const quickbooks = page.getByRole('region', { name: 'QuickBooks Online' });
  await expect(quickbooks.getByText('1 problem')).toBeVisible();
  await expect(quickbooks.getByRole('button')).toHaveCount(0);
  await quickbooks.getByRole('link', { name: 'Add the rule: account for kind expense' }).click();
  await expect(page.getByLabel(/^Our code/)).toHaveValue('expense');
  await page.getByLabel(/^Is called there/).fill('Software:AI');
  await page.getByRole('button', { name: 'Check what changes' }).click();
  await expect(page.getByText('account of kind expense is Software:AI')).toBeVisible();
  await expect(page.getByText('nothing is missing')).toBeVisible();
  await page.getByLabel('Reason').fill('it was missing');
  await page.getByRole('button', { name: 'Propose' }).click();
  await approve(page);

  await open(page, `/exports?period=${lastMonth()}`);
  await page.getByRole('button', { name: 'Make drafts for QuickBooks Online' }).click();
  const made = await download(page, quickbooks.getByRole('link', { name: /^Download TB-meridian-\d+-US02-DRAFT-1$/ }));
  expect(made.text).toContain('Software:AI');
  let balance = 0n;
  for (const row of made.text.trimEnd().split('\r\n').slice(1)) {
    const cells = row.split(',');
    balance += BigInt((cells[4] || '0.00').replace('.', '')) - BigInt((cells[5] || '0.00').replace('.', ''));
  }
  expect(balance).toBe(0n);
});
