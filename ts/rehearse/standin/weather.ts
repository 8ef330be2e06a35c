// Weather that was never anywhere, for a stand-in: smooth in time, the same for the same place and time whoever asks, with a
// day, a year and weather that passes by. Says nothing about how it is asked for.

export interface Weather {
  readonly temperature_2m: number;
  readonly relative_humidity_2m: number;
  readonly pressure_msl: number;
  readonly wind_speed_10m: number;
  readonly wind_direction_10m: number;
  readonly precipitation: number;
}

const DAY_MS = 86_400_000;
const round = (value: number, digits: number): number => Number(value.toFixed(digits));

/** A phase from 0 to 2π that is a place's own. */
const phase = (latitude: number, longitude: number, n: number): number =>
  Math.abs(Math.sin(latitude * 12.9898 + longitude * 78.233 + n * 37.719) * 43_758.5453) % (2 * Math.PI);

/** °C, %, hPa, km/h, degrees, mm in a quarter of an hour. */
export function weatherAt(latitude: number, longitude: number, time_ms: number): Weather {
  const days = time_ms / DAY_MS;
  const hour = (((time_ms / 3_600_000 + longitude / 15) % 24) + 24) % 24;
  // Passing systems: a few slow waves with phases of the place's own.
  const wave = (period_days: number, n: number) =>
    Math.sin((2 * Math.PI * days) / period_days + phase(latitude, longitude, n));
  const system = 0.6 * wave(5.3, 1) + 0.3 * wave(2.7, 2) + 0.25 * wave(1.3, 3) + 0.15 * wave(0.37, 4);
  const season = -Math.cos((2 * Math.PI * (days - 20)) / 365.25) * (latitude >= 0 ? 1 : -1);
  const daily = Math.cos((2 * Math.PI * (hour - 15)) / 24);
  const mean = 27 - 0.35 * Math.abs(latitude);
  const swing = Math.min(14, 0.25 * Math.abs(latitude));
  const temperature = mean + swing * season + 5 * daily - 4 * system;
  const humidity = Math.min(100, Math.max(15, 68 - 15 * daily + 18 * system));
  const wet = system - 0.65;
  return {
    temperature_2m: round(temperature, 1),
    relative_humidity_2m: round(humidity, 0),
    pressure_msl: round(1015 - 11 * system, 1),
    wind_speed_10m: round(Math.max(0, 14 + 9 * wave(1.9, 5) + 4 * daily), 1),
    wind_direction_10m: round((((240 + 110 * wave(3.1, 6)) % 360) + 360) % 360, 0),
    precipitation: wet > 0 ? round(1.5 * wet, 2) : 0,
  };
}
