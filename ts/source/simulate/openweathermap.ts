// Answers in the form of OpenWeatherMap's current weather that nobody measured: the same for the same seed, place and time. For where
// there is no key. Their course over a day and a year is what one would expect of the latitude; now and then a value is far off.
// Source of the form: openweathermap.org/current. Pure.

/** What is told apart in the stream of chances of one moment and place. */
const [HOUR_MS, DAY_MS, YEAR_MS] = [3_600_000, 86_400_000, 31_556_952_000];
/** One value in so many is far off, as a broken sensor's. */
const BROKEN_EVERY = 400;
const BROKEN_K = 15;

export interface Moment {
  readonly seed: number;
  readonly latitude: number;
  readonly longitude: number;
  readonly t_ms: number;
}

/** One answer, as its JSON would be read. */
export function answerAt({ seed, latitude, longitude, t_ms }: Moment) {
  const place = Math.round(latitude * 100) * 36_007 + Math.round(longitude * 100);
  const chance = (what: number, span_ms: number, at_ms = t_ms) =>
    noise(seed, place, what, Math.floor(at_ms / span_ms));
  /** A course without steps: chances at whole spans, and straight lines between them. */
  const course = (what: number, span_ms: number) => {
    const share = (t_ms % span_ms) / span_ms;
    return chance(what, span_ms) * (1 - share) + chance(what, span_ms, t_ms + span_ms) * share;
  };
  const radians = (latitude * Math.PI) / 180;
  // Coldest a month after the shortest day; the southern half the other way round.
  const season = -Math.cos((2 * Math.PI * (t_ms - Date.UTC(2000, 0, 20))) / YEAR_MS) * Math.sign(latitude);
  // Warmest three hours after the sun is highest.
  const sun = -Math.cos((2 * Math.PI * (t_ms + (longitude / 360) * DAY_MS - 3 * HOUR_MS)) / DAY_MS);
  const broken = chance(9, 1) > 1 - 2 / BROKEN_EVERY ? BROKEN_K : 0;
  const cover = clamp(50 + 60 * course(1, 9 * HOUR_MS), 0, 100);
  const celsius =
    26 * Math.cos(radians) ** 1.5 -
    2 +
    (3 + 14 * Math.abs(Math.sin(radians))) * season +
    (5 - cover / 40) * sun +
    4 * course(2, 36 * HOUR_MS) +
    0.3 * chance(3, 1) +
    broken;
  const humidity = clamp(60 - 1.8 * (celsius - 18) + 15 * course(4, 12 * HOUR_MS) + cover / 8, 5, 100);
  const speed = Math.abs(4 + 4 * course(5, 6 * HOUR_MS) + 0.8 * chance(6, 1));
  const rain = cover > 80 && humidity > 60 ? (cover - 80) / 8 + Math.abs(chance(7, HOUR_MS)) : 0;
  const [id, main, description] = wordsOf(cover, rain, celsius);
  return {
    coord: { lon: longitude, lat: latitude },
    weather: [{ id, main, description, icon: "" }],
    base: "simulated",
    main: {
      temp: rounded(celsius + 273.15, 2),
      pressure: Math.round(1014 + 14 * course(8, 48 * HOUR_MS)),
      humidity: Math.round(humidity),
    },
    visibility: 10_000,
    wind: { speed: rounded(speed, 2), deg: Math.round(180 + 179 * course(10, 8 * HOUR_MS)) },
    // What did not fall is not in an answer.
    ...(rain > 0 ? { [celsius < 0 ? "snow" : "rain"]: { "1h": rounded(rain, 2) } } : {}),
    clouds: { all: Math.round(cover) },
    dt: Math.floor(t_ms / 1000),
    cod: 200,
  };
}

function wordsOf(cover: number, rain: number, celsius: number): readonly [number, string, string] {
  if (rain > 0 && celsius < 0) return [600, "Snow", rain > 2 ? "snow" : "light snow"];
  if (rain > 2) return [501, "Rain", "moderate rain"];
  if (rain > 0) return [500, "Rain", "light rain"];
  if (cover < 11) return [800, "Clear", "clear sky"];
  if (cover < 25) return [801, "Clouds", "few clouds"];
  if (cover < 51) return [802, "Clouds", "scattered clouds"];
  return cover < 85 ? [803, "Clouds", "broken clouds"] : [804, "Clouds", "overcast clouds"];
}

const clamp = (value: number, low: number, high: number) => Math.min(high, Math.max(low, value));
const rounded = (value: number, digits: number) => Number(value.toFixed(digits));

/** In [-1, 1). Source: the finaliser of MurmurHash3, 32 bit, once for each word. */
function noise(...words: readonly number[]): number {
  let h = 0x9e3779b9 | 0;
  for (const word of words)
    for (const half of [word | 0, Math.floor(word / 2 ** 32) | 0]) {
      h = Math.imul(h ^ half, 0x85ebca6b);
      h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
      h ^= h >>> 16;
    }
  return h / 2 ** 31;
}
