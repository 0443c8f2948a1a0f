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

test('the engineering admin issues a key, connects, and sees the first request arrive', async ({ page, request }) => {
  const complaints = watch(page);
  await signIn(page, 'engineering_admin');
  await page.goto(`${card().web_url}/keys/new`);
  await page.getByLabel('Label').fill(`First steps ${Date.now()}`);
  await page.getByLabel('Cost center').selectOption('CC-6200');
  await page.getByLabel('Only these models').fill('claude-haiku-*');
  await page.getByLabel('Why').fill('a new machine');
  await page.getByRole('button', { name: 'Make key' }).click();
  const secret = (await page.locator('pre').first().textContent())!.trim();
  await page.getByRole('link', { name: 'Connect Claude Code with it' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Connect Claude Code');
  await expect(page.getByText('… Waiting')).toBeVisible();
  await expect(page.getByLabel('Made by')).not.toHaveValue('');
  await expectAccessible(page);

  const ask = (model: string) =>
    request.post(`${card().gateway_url}/v1/messages`, {
      headers: { authorization: `Bearer ${secret}`, 'anthropic-version': '2023-06-01' },
      data: { model, max_tokens: 32, messages: [{ role: 'user', content: 'say hi' }] },
    });
  const refused = await ask('claude-opus-5-5');
  expect(refused.status()).toBe(400);
  expect((await refused.json()).error.type).toBe('invalid_request_error');
  const sent = await ask('claude-haiku-5-5');
  expect(sent.status(), await sent.text()).toBe(200);

  // Nobody touches the page: it finds out by itself.
  await expect(page.getByText('✓ Arrived')).toBeVisible({ timeout: 15_000 });
  await expect(page.getByRole('status').filter({ hasText: 'charged to CC-6200' })).toContainText(/\$0\.0000\d+ charged/);
  await expectAccessible(page);
  await page.getByRole('link', { name: /claude-haiku-5-5$/ }).click();
  await expect(page).toHaveURL(new RegExp(sent.headers()['x-tollbook-request-id']));
  await expect(page.getByRole('heading', { name: 'Charge by class' })).toBeVisible();
  expect(complaints).toEqual([]);
});

test.describe('without script', () => {
  test.use({ javaScriptEnabled: false });
  test('looking again finds the first request', async ({ page, request }) => {
    await signIn(page, 'developer');
    await page.getByRole('link', { name: 'Connect Claude Code' }).click();
    await expect(page.getByText('… Waiting')).toBeVisible();
    const sent = await request.post(`${card().gateway_url}/v1/messages`, {
      headers: { 'x-api-key': card().virtual_keys['CC-4100'], 'anthropic-version': '2023-06-01', 'x-tollbook-developer': 'ada.4100@meridian.example' },
      data: { model: 'claude-haiku-5-5', max_tokens: 32, messages: [{ role: 'user', content: 'say hi' }] },
    });
    expect(sent.status()).toBe(200);
    await expect(async () => {
      await page.getByRole('link', { name: 'Look again' }).click();
      await expect(page.getByText('✓ Arrived')).toBeVisible({ timeout: 100 });
    }).toPass({ timeout: 10_000 });
  });
});

test('the engineering admin says who may charge, and a developer lets a command line in', async ({ page, browser, request }) => {
  const complaints = watch(page);
  await signIn(page, 'engineering_admin');
  await page.goto(`${card().web_url}/keys`);
  await page.getByRole('link', { name: 'Who may charge' }).click();
  await expect(page.getByRole('row', { name: /Ada Okafor/ })).toBeVisible();
  await page.getByLabel('Whose').fill('nobody@meridian.example');
  await page.getByLabel('May charge').selectOption('CC-5200');
  await page.getByLabel('Why').fill('a journey');
  await page.getByRole('button', { name: 'Give it' }).click();
  await expect(page.getByRole('alert')).toContainText('No member here has the address');
  await expectAccessible(page);
  await page.getByLabel('Whose').fill('ada.4100@meridian.example');
  await page.getByRole('button', { name: 'Give it' }).click();
  await expect(page.getByRole('link', { name: 'End the right of Ada Okafor to CC-5200' })).toBeVisible();

  const asked = await (await request.post(`${card().web_url}/oauth/device_authorization`, { form: { tenant: 'meridian', client: 'build box', cost_center: 'CC-5200' } })).json();
  const developer = await browser.newPage();
  await signIn(developer, 'developer');
  await developer.getByRole('link', { name: 'Connect Claude Code' }).click();
  await developer.getByRole('link', { name: 'Enter a code' }).click();
  await expectAccessible(developer);
  await developer.getByLabel('Eight letters').fill('BBBB-BBBB');
  await developer.getByRole('button', { name: 'Continue' }).click();
  await expect(developer.getByRole('alert')).toContainText('No command line waits');
  await developer.getByLabel('Eight letters').fill(asked.user_code);
  await developer.getByRole('button', { name: 'Continue' }).click();
  await expect(developer.getByText('build box')).toBeVisible();
  await expect(developer.getByLabel('Cost center to charge')).toHaveValue('CC-5200');
  await expectAccessible(developer);
  await developer.getByRole('button', { name: 'Allow' }).click();
  await expect(developer.getByText('Go back to your terminal')).toBeVisible();
  const got = await request.post(`${card().web_url}/oauth/token`, { form: { grant_type: 'urn:ietf:params:oauth:grant-type:device_code', device_code: asked.device_code } });
  expect(got.status(), await got.text()).toBe(200);
  await developer.getByRole('link', { name: 'Signed-in command lines' }).click();
  await expect(developer.getByRole('row', { name: /build box/ }).first()).toContainText('CC-5200');
  await expectAccessible(developer);

  // The right ends, and with it what was given out by it.
  await page.getByRole('link', { name: 'End the right of Ada Okafor to CC-5200' }).click();
  await expectAccessible(page);
  await page.getByLabel('Why').fill('the journey is over');
  await page.getByRole('button', { name: 'End this right' }).click();
  await expect(page.getByRole('link', { name: 'End the right of Ada Okafor to CC-5200' })).toHaveCount(0);
  const refused = await request.post(`${card().gateway_url}/v1/messages`, {
    headers: { 'x-api-key': (await got.json()).access_token, 'anthropic-version': '2023-06-01' },
    data: { model: 'claude-haiku-5-5', max_tokens: 32, messages: [{ role: 'user', content: 'say hi' }] },
  });
  expect(refused.status()).toBe(401);
  await developer.getByRole('button', { name: /^End the sign-in of Ada Okafor at build box/ }).first().click();
  // A form that comes back with a fault is no complaint: browsers note its 422.
  expect(complaints.filter((c) => !c.includes('422'))).toEqual([]);
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
