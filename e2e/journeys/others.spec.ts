// Everybody else comes in, sees what is theirs, and meets no page that is not.
import { expect, test } from '@playwright/test';
import { card, expectAccessible, signIn, watch } from './support.js';

test('the budget owner sees the own subtree', async ({ page }) => {
  await signIn(page, 'budget_owner');
  await expect(page.getByRole('link', { name: 'Autonomy' })).toBeVisible();
  await expect(page.getByText('Fleet operations')).toHaveCount(0);
  await expect(page.getByText('Shown to whoever sees the whole company')).toBeVisible();
  await page.goto(`${card().web_url}/requests?node=BU-20`);
  await expect(page.getByRole('heading', { name: 'No request matches' })).toBeVisible();
  await expectAccessible(page);
});

test('the engineering admin looks after keys', async ({ page }) => {
  await signIn(page, 'engineering_admin');
  await page.getByRole('link', { name: 'Virtual keys' }).click();
  await expect(page.getByRole('link', { name: 'Make a virtual key' })).toBeVisible();
  await page.getByRole('link', { name: 'Last used' }).click();
  await expect(page).toHaveURL(/sort=-last_used/);
  await page.getByRole('link', { name: /^Revoke Claude Code/ }).first().click();
  await page.getByRole('link', { name: 'Keep it' }).click();
  await expect(page.getByRole('heading', { name: 'Virtual keys', level: 1 })).toBeVisible();
});

for (const role of ['analyst', 'controller', 'tenant_owner']) {
  test(`the ${role} reads the month`, async ({ page }) => {
    const complaints = watch(page);
    await signIn(page, role);
    await expect(page.getByRole('heading', { level: 1 })).toHaveText(/^Chargeback, /);
    await page.getByRole('link', { name: 'Virtual keys' }).click();
    await expect(page.getByRole('link', { name: 'Make a virtual key' })).toHaveCount(0);
    await expectAccessible(page);
    expect(complaints).toEqual([]);
  });
}

test('the door leads in', async ({ page }) => {
  await page.goto(`${card().web_url}/requests`);
  await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible();
  await page.getByLabel("Your company's short name").fill('nobody-here');
  await page.getByRole('button', { name: 'Continue' }).click();
  await expect(page.getByRole('alert')).toContainText('No company here has that name');
  await expectAccessible(page);
  await page.getByLabel("Your company's short name").fill('meridian');
  await page.getByRole('button', { name: 'Continue' }).click();
  await expectAccessible(page);
  await page.getByRole('link', { name: /^Continue with / }).click();
  await page.getByRole('button', { name: /Tomás Rivera/ }).click();
  await expect(page).toHaveURL(/\/requests$/);
});

test('every component is accessible', async ({ page }) => {
  await page.goto(`${card().web_url}/_gallery`);
  await expect(page.getByRole('heading', { name: 'Gallery' })).toBeVisible();
  await expectAccessible(page);
});
