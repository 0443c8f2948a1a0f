// The auditor reads everything and changes nothing.
import { expect, test, type Page } from '@playwright/test';
import { readFileSync } from 'node:fs';
import { card, expectAccessible, signIn, watch } from './support.js';

test('samples a request and finds its price, rule and ids', async ({ page }) => {
  await signIn(page, 'auditor');
  await expect(page.getByText(/Ledger through batch/)).toBeVisible();
  await expect(page.getByText(/audit log sequence|waiting for its place/)).toBeVisible();
  await page.getByRole('link', { name: 'All requests' }).click();
  await page.getByRole('link', { name: 'Older' }).click();
  await expect(page).toHaveURL(/cursor=/);
  await page.locator('tbody a[data-row]').nth(7).click();
  await expect(page.getByText(/price book version \d+/)).toBeVisible();
  await expect(page.getByText(/^rule .* on snapshot \d+$/)).toBeVisible();
  await expect(page.locator('code', { hasText: /^evt_[0-9a-f]{32}$/ })).toBeVisible();
  await expectAccessible(page);
});

test('may look at keys and make none', async ({ page }) => {
  await signIn(page, 'auditor');
  await page.getByRole('link', { name: 'Virtual keys' }).click();
  await expect(page.getByRole('link', { name: 'Make a virtual key' })).toHaveCount(0);
  await expect(page.getByRole('link', { name: /^Revoke/ })).toHaveCount(0);
  await expectAccessible(page);
});

test('prints without what is for the screen only', async ({ page }) => {
  await signIn(page, 'auditor');
  await page.emulateMedia({ media: 'print', colorScheme: 'dark' });
  await expect(page.getByRole('navigation', { name: 'Main' })).toBeHidden();
  await expect(page.getByRole('link', { name: 'Export CSV' })).toBeHidden();
  await expect(page.getByRole('row', { name: /Perception platform/ })).toBeVisible();
});

test('meets a page that says what is not there', async ({ page }) => {
  await signIn(page, 'auditor');
  await page.goto(`${card().web_url}/requests?session=none-such`);
  await expect(page.getByRole('heading', { name: 'No request matches' })).toBeVisible();
  await expectAccessible(page);
  await page.getByRole('link', { name: 'Clear the filter' }).click();
  await expect(page.locator('tbody a[data-row]').first()).toBeVisible();
  await page.goto(`${card().web_url}/?period=2025-01`);
  await expect(page.getByRole('heading', { name: 'Nothing was spent in this month' })).toBeVisible();
  await expectAccessible(page);
  await page.goto(`${card().web_url}/nothing-here`);
  await expect(page.getByText('There is no such page')).toBeVisible();
});

test('finds what somebody changed, proves it and exports the month', async ({ page, browser }) => {
  const reason = `to be found in the log ${Date.now().toString(36)}`;
  const engineer = await browser.newPage();
  await signIn(engineer, 'engineering_admin');
  await makeKey(engineer, reason);
  await engineer.close();

  const complaints = watch(page);
  await signIn(page, 'auditor');
  await page.getByRole('link', { name: 'Audit log' }).click();
  await expect(page.getByText('no witness is configured')).toBeVisible();
  await expectAccessible(page);
  await page.getByLabel('What', { exact: true }).selectOption('change.applied');
  await page.getByRole('button', { name: 'Filter' }).click();
  await expect(page).toHaveURL(/action=change\.applied/);
  await page.getByRole('row', { name: new RegExp(reason) }).locator('a[data-row]').click();
  await expect(page.getByRole('definition').filter({ hasText: 'virtual key' }).first()).toBeVisible();
  const record = page.url();
  // It gets its place within moments.
  await expect
    .poll(async () => {
      await page.goto(record);
      return page.getByText('waits for its place').count();
    }, { timeout: 90_000 })
    .toBe(0);
  await expectAccessible(page);

  await page.goto(`${card().web_url}/log/export`);
  await expectAccessible(page);
  const [zip] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Export', exact: true }).click()]);
  expect(zip.suggestedFilename()).toMatch(/^tollbook-meridian-log-\d{4}-\d\d-01-\d{4}-\d\d-01\.zip$/);
  expect(readFileSync(await zip.path()).subarray(0, 2).toString()).toBe('PK');
  const [keys] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Download' }).click()]);
  expect(readFileSync(await keys.path(), 'utf8')).toMatch(/^tollbook\/ten_[0-9a-f]{32}\+/);

  // The export signed the head: the record is under it.
  await page.goto(record);
  const [proof] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Download the proof' }).click()]);
  expect(readFileSync(await proof.path(), 'utf8')).toMatch(/^c2sp\.org\/tlog-proof@v1\nindex \d+\n/);
  await expectAccessible(page);
  await page.goto(`${card().web_url}/log?action=log.exported`);
  await expect(page.getByRole('row', { name: /Log exported/ }).first()).toBeVisible();
  await page.goto(`${card().web_url}/log?actor=nobody`);
  await expect(page.getByRole('alert')).toBeVisible();
  await expectAccessible(page);
  expect(complaints.filter((text) => !text.includes('422'))).toEqual([]);
});

async function makeKey(page: Page, reason: string): Promise<void> {
  await page.goto(`${card().web_url}/keys/new`);
  await page.getByLabel('Label').fill('Found in the log');
  await page.getByLabel('Cost center').selectOption('CC-6200');
  await page.getByLabel('Why').fill(reason);
  await page.getByRole('button', { name: 'Make key' }).click();
  await expect(page.locator('pre').first()).toBeVisible();
}
