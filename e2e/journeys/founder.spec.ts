// Somebody without a company founds one, sets it up alone, and sees what their first
// request cost.
import { expect, test, type Page } from '@playwright/test';
import { card, expectAccessible, watch } from './support.js';

/** Comes back from the issuer as somebody who has no company, with the form to fill in. */
async function vouched(page: Page): Promise<void> {
  await page.goto(`${card().web_url}/sign-in`);
  await page.getByRole('link', { name: 'Sign up and found it' }).click();
  await expect(page.getByRole('heading', { name: 'Sign up' })).toBeVisible();
  await page.getByRole('link', { name: /^Continue with / }).click();
  await page.getByRole('button', { name: /Lin Nakamura/ }).click();
  await expect(page.getByRole('heading', { name: 'Found your company' })).toBeVisible();
}

function freshSlug(): string {
  return `harbor-${Date.now().toString(36)}${Math.floor(Math.random() * 1000)}`;
}

test('founds a company and takes it to its first priced request', async ({ page, request }) => {
  const complaints = watch(page);
  const slug = freshSlug();
  await page.goto(`${card().web_url}/sign-up`);
  await expectAccessible(page);
  await vouched(page);
  await expect(page.getByText('lin.nakamura@harborworks.example')).toBeVisible();
  await expectAccessible(page);
  await page.getByLabel('Company').fill('Harbor Works');
  await expect(page.locator('#slug')).toHaveValue('harbor-works');
  await expect(page.locator('#slug-hint')).toContainText('/gw/harbor-works');
  await page.locator('#slug').fill('meridian');
  await page.getByRole('button', { name: 'Found the company' }).click();
  await expect(page.getByRole('alert')).toContainText('is taken');
  await expect(page.getByLabel('Company')).toHaveValue('Harbor Works');
  await expectAccessible(page);
  await page.locator('#slug').fill(slug);
  await page.getByRole('button', { name: 'Found the company' }).click();

  await expect(page.getByRole('heading', { name: 'First set-up', level: 1 })).toBeVisible();
  await expect(page.getByText('1 of 6', { exact: true })).toBeVisible();
  await expectAccessible(page);
  await page.getByLabel(/API key/).fill('sk-harbor');
  await page.getByRole('button', { name: 'Store it and test it' }).click();
  await expect(page.getByText('It works: the provider took the credential')).toBeVisible();
  await expect(page.getByText('2 of 6', { exact: true })).toBeVisible();

  // Another page leads back by the strip.
  await page.getByRole('link', { name: 'Chargeback' }).click();
  await expect(page.getByRole('region', { name: 'First set-up' })).toContainText('Next: First cost center');
  await expectAccessible(page);
  await page.getByRole('link', { name: 'Go on' }).click();

  await page.getByLabel(/^Code/).fill('HW-100');
  await page.getByRole('textbox', { name: 'Name', exact: true }).fill('Platform');
  await page.getByRole('button', { name: 'Make the cost center' }).click();
  await expect(page.getByRole('link', { name: 'HW-100 Platform' })).toBeVisible();
  await expectAccessible(page);
  await page.getByRole('button', { name: 'Make the key' }).click();
  await expect(page.getByRole('heading', { name: 'First key is ready' })).toBeVisible();
  await expectAccessible(page);
  const key = (await page.locator('pre code').first().textContent()) ?? '';
  await page.getByRole('link', { name: /go on with the set-up/ }).click();
  await expect(page.getByText('Waiting for your first request.')).toBeVisible();
  await expect(page.getByText(`/gw/${slug}`)).toBeVisible();
  await expectAccessible(page);

  const answer = await request.post(`${card().web_url}/gw/${slug}/v1/messages`, {
    headers: { 'x-api-key': key, 'anthropic-version': '2023-06-01' },
    data: { model: 'claude-sonnet-5-5', max_tokens: 64, messages: [{ role: 'user', content: 'say hi' }] },
  });
  expect(answer.status()).toBe(200);
  await expect(page.getByRole('link', { name: 'Walk down the figure' })).toBeVisible({ timeout: 20_000 });
  await expect(page.getByText('6 of 6', { exact: true })).toBeVisible();
  await expect(page.getByText('for claude-sonnet-5-5, charged to HW-100 by First key')).toBeVisible();
  await expectAccessible(page);
  await page.getByRole('link', { name: 'Walk down the figure' }).click();
  await expect(page.getByRole('heading', { name: 'Charge by class' })).toBeVisible();
  await expect(page.getByRole('region', { name: 'First set-up' })).toHaveCount(0);
  expect(complaints.filter((c) => !c.includes('422'))).toEqual([]);
});

test('without scripts the short name is suggested, and the set-up goes on', async ({ browser }) => {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await vouched(page);
  const name = `Harbor ${freshSlug()}`;
  await page.getByLabel('Company').fill(name);
  await page.getByRole('button', { name: 'Found the company' }).click();
  await expect(page.getByRole('alert')).toContainText('This short name is free');
  await expect(page.locator('#slug')).toHaveValue(name.toLowerCase().replaceAll(' ', '-'));
  await page.getByRole('button', { name: 'Found the company' }).click();
  await expect(page.getByRole('heading', { name: 'First set-up', level: 1 })).toBeVisible();
  await page.getByRole('link', { name: 'Change it in the settings' }).click();
  await page.getByRole('link', { name: 'Back to the set-up' }).click();
  await page.getByRole('link', { name: 'Chargeback' }).click();
  await page.getByRole('button', { name: /^Not now/ }).click();
  await expect(page.getByRole('region', { name: 'First set-up' })).toHaveCount(0);
  await context.close();
});
