// The books: from a month's entries to the requests behind a line, and an entry taken back by two.
import { expect, test, type Page } from '@playwright/test';
import { readFileSync } from 'node:fs';
import { card, expectAccessible, signIn, watch } from './support.js';

function lastMonth(): string {
  const now = new Date();
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - 1, 1)).toISOString().slice(0, 7);
}

async function open(page: Page, path: string): Promise<void> {
  await page.goto(card().web_url + path);
}

test('a controller walks from the trial balance to the requests of a line', async ({ page }) => {
  const complaints = watch(page);
  await signIn(page, 'controller');
  await page.getByRole('link', { name: 'Journal' }).click();
  await expectAccessible(page);
  await open(page, `/journal?period=${lastMonth()}`);
  await page.getByRole('link', { name: 'Trial balance' }).click();
  await expect(page.getByText('balances')).toBeVisible();
  await expectAccessible(page);
  const total = page.getByRole('row', { name: /^Control total/ }).getByRole('cell');
  expect(await total.nth(1).innerText()).toBe(await total.nth(2).innerText());
  await page.getByRole('link', { name: 'Due to an entity' }).click();
  await expect(page).toHaveURL(/account=intercompany_due_to/);
  // An accrual: what takes an entry back has no requests of its own, and is the newest where somebody else just made it.
  await page.getByRole('row', { name: /Accrual/ }).first().locator('a[data-row]').click();
  await expect(page.getByRole('row', { name: /^Accrued liability/ })).toBeVisible();
  await expectAccessible(page);
  const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Export CSV' }).click()]);
  expect(readFileSync(await file.path(), 'utf8')).toContain('intercompany_due_from');
  await page.getByRole('row', { name: /^Expense/ }).first().locator('a[data-row]').click();
  await expect(page).toHaveURL(/\/requests\?from=/);
  await expect(page.locator('tbody a[data-row]').first()).toBeVisible();
  expect(complaints).toEqual([]);
});

test('an entry is taken back by two people, and both entries say so', async ({ page, browser }) => {
  await signIn(page, 'finance_admin');
  await open(page, `/journal?period=${lastMonth()}`);
  await page.locator('tbody a[data-row]').last().click();
  const entry = page.url();
  await page.getByRole('link', { name: 'Take it back' }).click();
  await expectAccessible(page);
  await page.getByLabel('Reason').fill('the invoice came');
  await page.getByRole('button', { name: 'Propose' }).click();
  await expect(page).toHaveURL(/\/changes\/chg_/);
  const controller = await browser.newPage();
  await signIn(controller, 'controller');
  await controller.goto(page.url());
  await expect(controller.getByText(/is taken back line by line/).first()).toBeVisible();
  await controller.getByRole('textbox', { name: 'Why', exact: true }).fill('agreed');
  await controller.getByRole('button', { name: /^Approve/ }).click();
  await expect(controller.getByText('✓ Applied')).toBeVisible();
  await controller.goto(entry);
  await expect(controller.getByText('reversed')).toBeVisible();
  await controller.getByRole('definition').getByRole('link', { name: /^Journal \d+$/ }).click();
  await expect(controller.getByRole('heading', { name: /^Journal \d+$/ })).toBeVisible();
  await expect(controller.getByText(/^Reversal of/).first()).toBeVisible();
  await expectAccessible(controller);
  await controller.close();
});
