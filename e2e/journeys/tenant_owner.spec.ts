// The tenant owner invites a person, who signs in and gets the role, is suspended, and is
// out at the next click.
import { expect, test } from '@playwright/test';
import { card, expectAccessible, signIn, watch } from './support.js';

const newcomer = 'noor.haddad@meridian.example';

test('invites a person, who comes in with the role, and suspends them', async ({ page, browser }) => {
  const complaints = watch(page);
  const elsewhere = await browser.newContext();
  const guest = await elsewhere.newPage();

  // A stranger whom the issuer knows sees nothing here.
  await guest.goto(`${card().web_url}/sign-in/meridian`);
  await guest.getByRole('link', { name: /^Continue with / }).click();
  await guest.getByRole('button', { name: /Noor Haddad/ }).click();
  await expect(guest.getByRole('heading', { name: 'Not a member' })).toBeVisible();

  await signIn(page, 'tenant_owner');
  await page.getByRole('link', { name: 'Members' }).click();
  await expectAccessible(page);
  await page.getByRole('textbox', { name: 'Name', exact: true }).fill('Noor Haddad');
  await page.getByRole('textbox', { name: /^E-mail/ }).fill(newcomer);
  await page.locator('#invite-role').selectOption({ label: 'Analyst' });
  await page.getByRole('textbox', { name: 'Why' }).fill('joins finance');
  await page.getByRole('button', { name: 'Make the link' }).click();
  await expect(page.getByRole('heading', { name: 'The link for Noor Haddad is ready' })).toBeVisible();
  await expectAccessible(page);
  const link = (await page.locator('pre code').first().textContent()) ?? '';
  await page.getByRole('link', { name: 'I have copied it' }).click();
  await expect(page.getByRole('row', { name: /Noor Haddad/ })).toBeVisible();

  await guest.goto(link);
  await expectAccessible(guest);
  await guest.getByRole('link', { name: 'Continue to sign in' }).click();
  await guest.getByRole('button', { name: /Noor Haddad/ }).click();
  await expect(guest.getByRole('heading', { level: 1 })).toHaveText(/^Chargeback, /);
  await expect(guest.locator('summary', { hasText: 'Analyst' })).toBeVisible();

  await page.goto(`${card().web_url}/members?q=noor`);
  await page.getByRole('link', { name: 'Noor Haddad' }).click();
  await expect(page.getByText('Given Analyst')).toBeVisible();
  await expectAccessible(page);
  await page.getByRole('link', { name: 'Suspend…' }).click();
  await expectAccessible(page);
  await page.getByRole('textbox', { name: 'Why' }).fill('left the company');
  await page.getByRole('button', { name: 'Suspend now' }).click();
  await expect(page.getByRole('cell', { name: 'left the company' })).toBeVisible();

  await guest.reload();
  await expect(guest.getByRole('heading', { name: 'Sign in', exact: true })).toBeVisible();
  await guest.goto(`${card().web_url}/sign-in/meridian`);
  await guest.getByRole('link', { name: /^Continue with / }).click();
  await guest.getByRole('button', { name: /Noor Haddad/ }).click();
  await expect(guest.getByRole('heading', { name: 'Not a member' })).toBeVisible();
  await elsewhere.close();
  expect(complaints).toEqual([]);
});

test('makes a token, sees it once and revokes it', async ({ page, request }) => {
  await signIn(page, 'tenant_owner');
  await page.getByRole('link', { name: 'API tokens' }).click();
  await expectAccessible(page);
  await page.locator('#member').selectOption({ label: 'Tomás Rivera (Analyst)' });
  await page.getByRole('textbox', { name: 'Label' }).fill('month-end report');
  await page.getByRole('textbox', { name: 'Why' }).fill('the report reads chargeback');
  await page.getByRole('button', { name: 'Make token' }).click();
  await expectAccessible(page);
  const token = (await page.locator('pre code').first().textContent()) ?? '';
  const use = async () => (await request.get(`${card().web_url}/api/v1/nodes`, { headers: { Authorization: `Bearer ${token}` } })).status();
  expect(await use()).toBe(200);
  await page.getByRole('link', { name: 'I have copied it' }).click();
  await page.getByRole('link', { name: 'Revoke month-end report' }).click();
  await page.getByRole('textbox', { name: 'Why' }).fill('only a try');
  await page.getByRole('button', { name: 'Revoke this token' }).click();
  expect(await use()).toBe(401);
});

test('moves the company to its time zone and tests its provider', async ({ page }) => {
  await signIn(page, 'tenant_owner');
  await page.getByRole('link', { name: 'Settings' }).click();
  await expectAccessible(page);
  await page.getByRole('textbox', { name: 'Time zone' }).fill('Mars/Olympus');
  await page.locator('#reason').fill('the head office moved');
  await page.getByRole('button', { name: 'Change the company' }).click();
  await expect(page.getByRole('alert')).toContainText('no time zone');
  await page.getByRole('textbox', { name: 'Time zone' }).fill('Europe/Paris');
  await page.getByRole('button', { name: 'Change the company' }).click();
  await expect(page.getByRole('cell', { name: 'the head office moved' })).toBeVisible();
  await page.getByRole('button', { name: 'Test the connection' }).click();
  await expect(page.getByText('It works: the provider took the credential')).toBeVisible();
  await expectAccessible(page);
});

for (const path of ['/members/groups', '/members/issuers', '/account']) {
  test(`${path} is accessible`, async ({ page }) => {
    await signIn(page, 'tenant_owner');
    await page.goto(card().web_url + path);
    await expectAccessible(page);
  });
}
