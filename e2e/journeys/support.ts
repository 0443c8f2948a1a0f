// What the journeys share: the demo's card, signing in the real way, and the checks
// every page must pass.
import AxeBuilder from '@axe-core/playwright';
import { expect, type Page } from '@playwright/test';
import { readFileSync } from 'node:fs';

export type Card = {
  web_url: string;
  gateway_url: string;
  virtual_keys: Record<string, string>;
  api_tokens: Record<string, string>;
  sign_in: Record<string, string>;
};

export function card(): Card {
  const path = process.env.TOLLBOOK_DEMO_JSON;
  if (!path) throw new Error('Set TOLLBOOK_DEMO_JSON to the demo.json of a running demo.');
  return JSON.parse(readFileSync(path, 'utf8'));
}

/** Signs in through the issuer, as a person following the link would. */
export async function signIn(page: Page, role: string): Promise<void> {
  const url = card().sign_in[role];
  if (!url) throw new Error(`demo.json has no sign-in link for ${role}`);
  await page.goto(url);
  await expect(page.getByRole('navigation', { name: 'Main' })).toBeVisible();
}

const wide = { width: 1440, height: 900 };
const narrow = { width: 390, height: 844 };

/** Axe (WCAG 2.2 AA) in both color schemes, wide and narrow; nothing scrolls sideways. */
export async function expectAccessible(page: Page): Promise<void> {
  for (const [colorScheme, size] of [['dark', narrow], ['light', wide]] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await page.setViewportSize(size);
    // Legacy mode stays in the page: there are no frames, and a second page per run is slow.
    const found = await new AxeBuilder({ page }).setLegacyMode().withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']).analyze();
    expect(
      found.violations.map((v) => `${v.id} (${colorScheme}, ${size.width}): ${v.nodes.map((n) => n.target.join(' ')).join(' | ')}`),
      `accessibility of ${page.url()}`,
    ).toEqual([]);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    expect(overflow, `${page.url()} at ${size.width} px must not scroll sideways`).toBeLessThanOrEqual(0);
  }
}

/** Fails the test when the strict policy refused anything, or a script broke. */
export function watch(page: Page): string[] {
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  return complaints;
}
