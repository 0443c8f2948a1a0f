// The auditor reads everything and changes nothing.
import { expect, test } from '@playwright/test';
import { card, expectAccessible, signIn } from './support.js';

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
