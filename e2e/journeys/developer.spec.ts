// The developer sends a request through the gateway and finds it, and nothing of others.
import { expect, test } from '@playwright/test';
import { card, expectAccessible, signIn, watch } from './support.js';

test('sees the own requests only', async ({ page }) => {
  const complaints = watch(page);
  await signIn(page, 'developer');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('My requests');
  await expect(page.getByText(/^My spend, /)).toBeVisible();
  await expect(page.getByRole('navigation', { name: 'Main' }).getByRole('link')).toHaveText(['Requests', 'Sessions', 'Spend explorer', 'Hierarchy', 'Connect Claude Code']);
  await expectAccessible(page);
  await page.locator('tbody a[data-row]').first().click();
  await expect(page.getByText('ada.4100@meridian.example')).toBeVisible();
  await expectAccessible(page);
  expect(complaints).toEqual([]);

  await page.goto(`${card().web_url}/keys`);
  await expect(page.getByRole('heading', { name: 'Not permitted' })).toBeVisible();
  await expectAccessible(page);
  await page.goto(`${card().web_url}/requests?developer=bo.4100@meridian.example`);
  await expect(page.getByRole('heading', { name: 'Not permitted' })).toBeVisible();
});

test('finds a request a moment after it was sent', async ({ page, request }) => {
  const sent = await request.post(`${card().gateway_url}/v1/messages`, {
    headers: { 'x-api-key': card().virtual_keys['CC-4100'], 'anthropic-version': '2023-06-01', 'x-tollbook-developer': 'ada.4100@meridian.example', 'x-tollbook-project': 'P-4100-07' },
    data: { model: 'claude-haiku-5-5', max_tokens: 32, messages: [{ role: 'user', content: 'say hi' }] },
  });
  expect(sent.status(), await sent.text()).toBe(200);
  const event = sent.headers()['x-tollbook-request-id'];
  expect(event).toMatch(/^evt_/);
  await signIn(page, 'developer');
  await expect(async () => {
    await page.goto(`${card().web_url}/requests/${event}`);
    await expect(page.getByRole('heading', { name: 'Charge by class' })).toBeVisible({ timeout: 100 });
  }).toPass({ timeout: 10_000 });
  await expect(page.getByText('The project the request declared, which the key may charge.').first()).toBeVisible();
  await page.goto(`${card().web_url}/requests?node=P-4100-07`);
  await expect(page.locator(`a[href="/requests/${event}"]`)).toBeVisible();
});

test('sees a request arrive by itself, and can pause that', async ({ page, request }) => {
  const complaints = watch(page);
  const send = async (session: string) => {
    const sent = await request.post(`${card().gateway_url}/v1/messages`, {
      headers: {
        'x-api-key': card().virtual_keys['CC-4100'], 'anthropic-version': '2023-06-01', 'x-tollbook-developer': 'ada.4100@meridian.example', 'x-claude-code-session-id': session,
      },
      data: { model: 'claude-haiku-5-5', max_tokens: 32, messages: [{ role: 'user', content: 'say hi' }] },
    });
    expect(sent.status(), await sent.text()).toBe(200);
    return `a[href="/requests/${sent.headers()['x-tollbook-request-id']}"]`;
  };
  await signIn(page, 'developer');
  await page.goto(`${card().web_url}/requests`);
  const live = page.getByRole('button', { name: /^Live/ });
  await expect(live).toHaveAttribute('aria-pressed', 'true');
  const first = await send('watched');
  await expect(page.locator(first)).toBeVisible({ timeout: 20_000 });
  await expect(live).toHaveText(/^Live · \d/);
  await expectAccessible(page);

  await live.click();
  await expect(live).toHaveText('Live paused');
  await expect(live).toHaveAttribute('aria-pressed', 'false');
  const second = await send('paused');
  await page.reload();
  await expect(live).toHaveText('Live paused');
  await live.click();
  await expect(page.locator(second)).toBeVisible({ timeout: 20_000 });
  expect(complaints).toEqual([]);
});
