// A company founded for it is let go: everything is handed over, its controller decides, its
// key is refused at once, and whoever belonged there is told why.
import { expect, test, type Page } from '@playwright/test';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { card, expectAccessible, signIn, watch } from './support.js';

/** Runs the program as whoever runs the installation would. */
function operate(...args: string[]): string {
  const state = JSON.parse(readFileSync(join(dirname(process.env.TOLLBOOK_DEMO_JSON ?? ''), 'state.json'), 'utf8'));
  const demo = JSON.parse(readFileSync(process.env.TOLLBOOK_DEMO_JSON ?? '', 'utf8'));
  const as = (role: string) => demo.database_url.replace('tollbook@', `${role}@`);
  return execFileSync(process.env.TOLLBOOK_BINARY ?? 'tollbook', args, {
    encoding: 'utf8',
    env: {
      ...process.env,
      TOLLBOOK_DATABASE_URL: as('tollbook_app'),
      TOLLBOOK_SYSTEM_DATABASE_URL: as('tollbook_system'),
      TOLLBOOK_MASTER_KEY: state.master_key,
      TOLLBOOK_PUBLIC_URL: demo.web_url,
    },
  });
}

/** Founds a company with one cost center and one key, and returns the key. */
async function found(page: Page, slug: string): Promise<string> {
  await page.goto(`${card().web_url}/sign-up`);
  await page.getByRole('link', { name: /^Continue with / }).click();
  await page.getByRole('button', { name: /Lin Nakamura/ }).click();
  await page.getByLabel('Company').fill('Harbor Yard');
  await page.locator('#slug').fill(slug);
  await page.getByRole('button', { name: 'Found the company' }).click();
  await page.getByLabel(/API key/).fill('sk-harbor');
  await page.getByRole('button', { name: 'Store it and test it' }).click();
  await expect(page.getByText('2 of 6', { exact: true })).toBeVisible();
  await page.getByLabel(/^Code/).fill('HY-100');
  await page.getByRole('textbox', { name: 'Name', exact: true }).fill('Yard');
  await page.getByRole('button', { name: 'Make the cost center' }).click();
  await page.getByRole('button', { name: 'Make the key' }).click();
  await expect(page.getByRole('heading', { name: 'First key is ready' })).toBeVisible();
  return (await page.locator('pre code').first().textContent()) ?? '';
}

/** Invites Noor Haddad as the company's controller, who comes in. */
async function admit(page: Page, guest: Page): Promise<void> {
  await page.goto(`${card().web_url}/members`);
  await page.getByRole('textbox', { name: 'Name', exact: true }).fill('Noor Haddad');
  await page.getByRole('textbox', { name: /^E-mail/ }).fill('noor.haddad@meridian.example');
  await page.locator('#invite-role').selectOption({ label: 'Controller' });
  await page.getByRole('textbox', { name: 'Why' }).fill('decides');
  await page.getByRole('button', { name: 'Make the link' }).click();
  const link = (await page.locator('pre code').first().textContent()) ?? '';
  await page.getByRole('link', { name: 'I have copied it' }).click();
  await guest.goto(link);
  await guest.getByRole('link', { name: 'Continue to sign in' }).click();
  await guest.getByRole('button', { name: /Noor Haddad/ }).click();
  await expect(guest.locator('summary', { hasText: 'Controller' })).toBeVisible();
}

test('a company is handed over and let go', async ({ page, browser, request }) => {
  const complaints = watch(page);
  const slug = `yard-${Date.now().toString(36)}${Math.floor(Math.random() * 1000)}`;
  const elsewhere = await browser.newContext();
  const guest = await elsewhere.newPage();
  const key = await found(page, slug);
  const gateway = async () =>
    (await request.get(`${card().web_url}/gw/${slug}/v1/models`, { headers: { 'x-api-key': key, 'anthropic-version': '2023-06-01' } })).status();
  await expect.poll(gateway).toBe(200);
  await admit(page, guest);

  // Nothing was handed over yet.
  await page.goto(`${card().web_url}/settings`);
  await page.getByRole('link', { name: 'Offboarding' }).click();
  await expect(page.getByRole('row', { name: /Export of everything/ })).toContainText('Not yet');
  await expect(page.getByRole('button', { name: /Propose to offboard/ })).toHaveCount(0);
  await expectAccessible(page);
  const dir = mkdtempSync(join(tmpdir(), 'tollbook-offboarding-'));
  operate('tenant', 'export', slug, join(dir, 'all.zip'));
  rmSync(dir, { recursive: true });

  await page.reload();
  await expect(page.getByRole('row', { name: /Export of everything/ })).toContainText('In order');
  await expectAccessible(page);
  await page.getByLabel(/short name, typed again/).fill('meridian');
  await page.locator('#offboarding-reason').fill('the contract ended');
  await page.getByRole('button', { name: `Propose to offboard ${slug}` }).click();
  await expect(page.getByRole('alert')).toContainText(slug);
  await page.getByLabel(/short name, typed again/).fill(slug);
  await page.getByRole('button', { name: `Propose to offboard ${slug}` }).click();
  await expect(page.getByRole('heading', { name: 'Offboarding of the company' })).toBeVisible();
  await expectAccessible(page);

  await guest.goto(page.url());
  await expect(guest.getByText(`${slug} ends here for good`)).toBeVisible();
  await guest.getByRole('textbox', { name: 'Why' }).fill('agreed');
  await guest.getByRole('button', { name: 'Approve', exact: true }).click();
  await expect.poll(gateway).toBe(401);
  await expect(guest.getByRole('heading', { name: 'Sign in', exact: true })).toBeVisible();

  // Whoever belonged there is told, after the issuer said who they are.
  await guest.goto(`${card().web_url}/sign-in/${slug}`);
  await guest.getByRole('link', { name: /^Continue with / }).click();
  await guest.getByRole('button', { name: /Noor Haddad/ }).click();
  await expect(guest.getByText('This company was offboarded')).toBeVisible();
  await expectAccessible(guest);
  await page.reload();
  await expect(page.getByRole('heading', { name: 'Sign in', exact: true })).toBeVisible();
  expect(operate('tenant', 'list')).toMatch(new RegExp(`^${slug} .* offboarded at `, 'm'));

  await signIn(guest, 'operator');
  await guest.goto(`${card().web_url}/operator?q=${slug}`);
  await expect(guest.getByRole('row', { name: new RegExp(slug) })).toContainText('Offboarded');
  await elsewhere.close();
  expect(complaints.filter((c) => !c.includes('422'))).toEqual([]);
});
